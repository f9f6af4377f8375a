-- The few that are disabled are found and counted without walking over all numbers.
CREATE INDEX extension_disabled ON extension (tenant_id, number, user_id) WHERE NOT enabled;
