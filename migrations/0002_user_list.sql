-- The list of users is found in indexes alone, whatever its order and filter; then only the rows of
-- one page are read. The address, unique in a tenant, breaks ties.
DROP INDEX users_name;
DROP INDEX users_created;
CREATE INDEX users_name ON users (tenant_id, name_key, email_key, id);
CREATE INDEX users_email ON users (tenant_id, email_key, name_key, id);
CREATE INDEX users_created ON users (tenant_id, created_at, email_key, name_key, id);
CREATE INDEX extension_list ON extension (tenant_id, number, enabled, user_id);

-- Every page counts the changes that wait for an Apply.
CREATE INDEX audit_event_affects_asterisk ON audit_event (seq) WHERE affects_asterisk;
