-- Phones in the order of their static addresses, without walking over those of all others. The kind
-- is in it so that nothing else has to be read.
CREATE INDEX address_of_phone ON address (tenant_id, address, holder_id, holder_kind) WHERE holder_kind = 'phone';
