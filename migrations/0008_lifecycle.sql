-- Which assignment an address is held under. Only the operations of the life cycle write it; while
-- it is there the address is not released, moved or taken out of use by any other way.
ALTER TABLE address ADD COLUMN assignment TEXT;

-- Blocks of IPv6 out of which whole prefixes are delegated (RFC 8415 6.3). None overlaps another,
-- nor a pool of addresses.
CREATE TABLE prefix_pool (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL,
    first_key  BYTEA NOT NULL,
    last_key   BYTEA NOT NULL,
    length     BIGINT NOT NULL CHECK (length BETWEEN 16 AND 63),
    -- The length of a prefix when nobody says one.
    delegated  BIGINT NOT NULL CHECK (delegated BETWEEN 48 AND 64 AND delegated > length),
    -- What is free of it, in /64s; moved with every prefix.
    free       BIGINT NOT NULL,
    version    BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, name_key),
    UNIQUE (tenant_id, first_key)
);

-- What is free of a prefix pool, as ranges.
CREATE TABLE prefix_gap (
    pool_id   TEXT NOT NULL REFERENCES prefix_pool (id) ON DELETE CASCADE,
    first_key BYTEA NOT NULL,
    last_key  BYTEA NOT NULL,
    -- The length of the largest aligned block in it.
    fits      BIGINT NOT NULL,
    PRIMARY KEY (pool_id, first_key)
);
-- The lowest gap of each size is found by one step.
CREATE INDEX prefix_gap_fits ON prefix_gap (pool_id, fits, first_key);

-- Prefixes nobody has that are not given out: in quarantine until some time, or kept until somebody
-- gives them back.
CREATE TABLE prefix_hold (
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    pool_id    TEXT NOT NULL REFERENCES prefix_pool (id),
    first_key  BYTEA NOT NULL,
    last_key   BYTEA NOT NULL,
    length     BIGINT NOT NULL,
    reason     TEXT NOT NULL,
    until      BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (pool_id, first_key)
);
CREATE INDEX prefix_hold_until ON prefix_hold (until) WHERE until IS NOT NULL;

-- One row for each time somebody has an address or a prefix, from the wish to the end. Rows that
-- are not live are history.
CREATE TABLE assignment (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL REFERENCES tenant (id),
    family        TEXT NOT NULL CHECK (family IN ('ipv4', 'ipv6', 'prefix')),
    state         TEXT NOT NULL CHECK (state IN ('pending', 'allocated', 'active', 'suspended', 'revoking', 'revoked', 'failed')),
    -- Whether it counts against its holder and, once it has one, its address.
    live          BOOLEAN NOT NULL,
    -- The address, or the ends of the prefix; none while it waits for one.
    first_key     BYTEA,
    last_key      BYTEA,
    length        BIGINT,
    -- The pool it came from; none if it was wished for by its address.
    pool_id       TEXT,
    holder_kind   TEXT NOT NULL CHECK (holder_kind IN ('host', 'phone', 'user', 'external')),
    holder_id     TEXT NOT NULL,
    holder_name   TEXT NOT NULL,
    -- The name in lower case, for searching and sorting.
    holder_key    TEXT NOT NULL,
    -- What the holder has it for; one of each is live at a time.
    role          TEXT NOT NULL,
    hostname      TEXT NOT NULL,
    mac           TEXT NOT NULL,
    -- Why it is suspended, or what failed.
    reason        TEXT NOT NULL,
    -- What becomes of the address when the revocation completes.
    ending        TEXT NOT NULL CHECK (ending IN ('', 'free', 'keep') AND (ending = '') = (state NOT IN ('revoking', 'revoked'))),
    -- JSON object of whoever called.
    metadata      TEXT NOT NULL,
    -- Since when it is in its state.
    since         BIGINT NOT NULL,
    allocated_at  BIGINT,
    activated_at  BIGINT,
    suspended_at  BIGINT,
    revoked_at    BIGINT,
    version       BIGINT NOT NULL DEFAULT 1,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    CHECK (state = 'failed' OR live = (state <> 'revoked')),
    CHECK (first_key IS NOT NULL OR state IN ('pending', 'failed'))
);
-- An address has one live assignment, a holder one for each family and role.
CREATE UNIQUE INDEX assignment_address ON assignment (tenant_id, first_key) WHERE live;
CREATE UNIQUE INDEX assignment_holder ON assignment (tenant_id, holder_kind, holder_id, family, role) WHERE live;
CREATE INDEX assignment_subscriber ON assignment (tenant_id, holder_id, created_at);
-- Lists are read in the order of one of these, whatever is filtered.
CREATE INDEX assignment_list_address ON assignment (tenant_id, first_key, id, state, family, holder_kind);
CREATE INDEX assignment_list_holder ON assignment (tenant_id, holder_key, id, state, family, holder_kind);
CREATE INDEX assignment_list_since ON assignment (tenant_id, since, id, state, family, holder_kind);
CREATE INDEX assignment_state ON assignment (state, since, id);

-- How many assignments there are of each kind; moved with every step, so that no page counts rows.
CREATE TABLE assignment_tally (
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    family      TEXT NOT NULL,
    holder_kind TEXT NOT NULL,
    state       TEXT NOT NULL,
    entries     BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, family, holder_kind, state)
);

CREATE TABLE lifecycle_settings (
    tenant_id  TEXT PRIMARY KEY REFERENCES tenant (id),
    -- Hours a revoked address is kept out of use; 0 is not at all.
    quarantine BIGINT NOT NULL CHECK (quarantine BETWEEN 0 AND 8760),
    version    BIGINT NOT NULL
);

-- What is done by the clock, by one instance at a time.
CREATE TABLE job (
    name        TEXT PRIMARY KEY,
    next_at     BIGINT NOT NULL,
    -- Who asked for it to be done now.
    requested   TEXT NOT NULL,
    -- The instance that does it, and until when it is believed to be alive without a new word.
    runner      TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    -- What the last run that went well found, as JSON.
    result      TEXT NOT NULL,
    result_at   BIGINT
);

CREATE TABLE job_run (
    id          TEXT PRIMARY KEY,
    job         TEXT NOT NULL REFERENCES job (name),
    runner      TEXT NOT NULL,
    -- Who asked for it; nobody if it was the clock.
    actor       TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'interrupted')),
    started_at  BIGINT NOT NULL,
    finished_at BIGINT,
    -- JSON, or what went wrong.
    result      TEXT NOT NULL
);
CREATE INDEX job_run_job ON job_run (job, started_at);
