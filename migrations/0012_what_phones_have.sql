-- What a phone last fetched of the files its model has in common; empty while that is not known.
ALTER TABLE phone_seen ADD COLUMN common_revision TEXT NOT NULL DEFAULT '';

-- What it would get of them now; empty when its own file says everything there is.
ALTER TABLE phone_revision ADD COLUMN common_revision TEXT NOT NULL DEFAULT '';
DELETE FROM phone_revision;

-- False for what phones ask for and do well without, which is nobody's failure.
ALTER TABLE boot_request ADD COLUMN needed BOOLEAN NOT NULL DEFAULT TRUE;
