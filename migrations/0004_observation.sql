-- How a subnet is looked at. Without a row: only when somebody asks, with the usual settings.
CREATE TABLE observation (
    subnet_id TEXT PRIMARY KEY REFERENCES subnet (id) ON DELETE CASCADE,
    tenant_id TEXT NOT NULL REFERENCES tenant (id),
    -- Minutes from one sweep to the next; none is never.
    minutes   BIGINT CHECK (minutes BETWEEN 5 AND 10080),
    -- Pings a second.
    pace      BIGINT NOT NULL CHECK (pace BETWEEN 1 AND 1000),
    -- Days without an answer after which an address that nobody holds is forgotten.
    keep_days BIGINT NOT NULL CHECK (keep_days BETWEEN 1 AND 365),
    -- When the next sweep is due.
    next_at   BIGINT
);
CREATE INDEX observation_due ON observation (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE sweep (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    subnet_id   TEXT NOT NULL REFERENCES subnet (id) ON DELETE CASCADE,
    state       TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'stopped', 'failed', 'interrupted')),
    pace        BIGINT NOT NULL,
    -- Addresses in all, those asked so far, and those that answered. Moved together with what was
    -- written down of the addresses.
    total       BIGINT NOT NULL,
    asked       BIGINT NOT NULL,
    seen        BIGINT NOT NULL,
    -- Whether somebody wants it to end.
    stopping    BOOLEAN NOT NULL,
    -- Who asked for it.
    actor       TEXT NOT NULL,
    -- The process that does it, and until when it is believed to be alive without a new word.
    runner      TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    started_at  BIGINT,
    finished_at BIGINT,
    -- What went wrong, for a person.
    error       TEXT NOT NULL
);
-- One sweep of a subnet at a time, in whatever process.
CREATE UNIQUE INDEX sweep_under_way ON sweep (subnet_id) WHERE state IN ('queued', 'running');
CREATE INDEX sweep_state ON sweep (state) WHERE state IN ('queued', 'running');
CREATE INDEX sweep_created ON sweep (tenant_id, created_at);
CREATE INDEX sweep_subnet ON sweep (subnet_id, created_at);

-- Addresses a DHCP server has leased, as last read from it; none without end.
CREATE TABLE lease (
    tenant_id TEXT NOT NULL REFERENCES tenant (id),
    address   BYTEA NOT NULL,
    until     BIGINT,
    PRIMARY KEY (tenant_id, address)
);
CREATE INDEX lease_until ON lease (until) WHERE until IS NOT NULL;

-- Rows that an address loses or changes when it is not seen for long.
CREATE INDEX address_ageing ON address (last_seen) WHERE active OR status = 'available';
