-- The Apply whose kept files are the very same as those an Apply was about, so that they are not
-- kept twice. NULL: if any are kept, they are its own.
ALTER TABLE apply_run ADD COLUMN same_as BIGINT;
UPDATE apply_run SET same_as = release WHERE state = 'unchanged';
