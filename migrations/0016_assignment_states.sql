-- How many of each tenant and family are in a state since when, from the index alone.
DROP INDEX assignment_state;
CREATE INDEX assignment_state ON assignment (state, since, id, tenant_id, family);
