-- Phones in the order of their static addresses, without walking over those of all others. The kind
-- is in both indexes so that nothing else has to be read: SQLite takes one that has all it needs
-- before one that finds what it needs.
DROP INDEX address_phone;
CREATE INDEX address_phone ON address (tenant_id, holder_id, address, holder_kind) WHERE holder_kind = 'phone';
CREATE INDEX address_of_phone ON address (tenant_id, address, holder_id, holder_kind) WHERE holder_kind = 'phone';
