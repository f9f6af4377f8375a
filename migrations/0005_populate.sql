-- What `ipam populate` counted as records when it last ran, as ranges: the static pools, and what
-- hosts had outside them. What is not among these when it runs again was created since.
CREATE TABLE populated (
    tenant_id TEXT NOT NULL REFERENCES tenant (id),
    first_key BYTEA NOT NULL,
    last_key  BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, first_key)
);
