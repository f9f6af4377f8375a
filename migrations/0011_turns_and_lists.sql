-- Whoever allocates takes turns; a row that each of them wrote let some wait for ever.
ALTER TABLE tenant DROP COLUMN generation;

-- Whose the phone is, so that those that fetched a file are counted without looking at each phone.
ALTER TABLE phone_seen ADD COLUMN tenant_id TEXT NOT NULL DEFAULT '';
UPDATE phone_seen SET tenant_id = (SELECT p.tenant_id FROM phone p WHERE p.mac = phone_seen.mac);
CREATE INDEX phone_seen_tenant ON phone_seen (tenant_id, fetched_at);
