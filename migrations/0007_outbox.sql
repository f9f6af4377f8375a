-- Systems outside that follow the addresses. Without a row a system is off and was never set up.
CREATE TABLE outside_system (
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    system     TEXT NOT NULL CHECK (system IN ('radius', 'dhcp', 'netbox')),
    enabled    BOOLEAN NOT NULL,
    -- What is not secret, as JSON.
    settings   TEXT NOT NULL,
    -- A password or token, sealed; empty when there is none.
    secret     BYTEA NOT NULL,
    version    BIGINT NOT NULL DEFAULT 1,
    -- The newest audited change that was compared with what the system should hold, and when the
    -- system itself was last compared.
    seen_seq   BIGINT NOT NULL DEFAULT 0,
    checked_at BIGINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, system)
);

-- The servers that hold sessions of RADIUS.
CREATE TABLE outside_nas (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    name       TEXT NOT NULL,
    address    TEXT NOT NULL,
    port       BIGINT NOT NULL CHECK (port BETWEEN 1 AND 65535),
    -- What both sides sign with, sealed.
    secret     BYTEA NOT NULL,
    -- Whether it is asked when an order names none.
    fallback   BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, address)
);
CREATE UNIQUE INDEX outside_nas_fallback ON outside_nas (tenant_id) WHERE fallback;

-- Private hosts, unusual ports and sockets that an administrator of the installation lets a kind
-- of system be at. For all tenants.
CREATE TABLE outside_allowed (
    system     TEXT NOT NULL CHECK (system IN ('radius', 'dhcp', 'netbox')),
    target     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (system, target)
);

-- Calls to be made, written in the transaction of whatever causes them.
CREATE TABLE outside_call (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    system      TEXT NOT NULL CHECK (system IN ('radius', 'dhcp', 'netbox')),
    -- Calls of a line are made one after the other, in the order of `nth`.
    line        TEXT NOT NULL,
    nth         BIGINT NOT NULL,
    -- Whose it is: `assignment/0192…`.
    subject     TEXT NOT NULL,
    -- What a person calls it.
    label       TEXT NOT NULL,
    -- The order, as JSON. No secrets.
    payload     TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'done', 'replaced', 'dead', 'dropped')),
    attempts    BIGINT NOT NULL DEFAULT 0,
    next_at     BIGINT NOT NULL,
    -- The process that makes it, and until when it is believed to be alive.
    runner      TEXT NOT NULL DEFAULT '',
    lease_until BIGINT NOT NULL DEFAULT 0,
    -- Number and time of a RADIUS packet, kept so that it is the same packet when it is sent again.
    identifier  BIGINT NOT NULL,
    stamped_at  BIGINT NOT NULL,
    -- What went wrong last; what came of it. For a person.
    error       TEXT NOT NULL DEFAULT '',
    answer      TEXT NOT NULL DEFAULT '',
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    UNIQUE (tenant_id, system, line, nth)
);
CREATE INDEX outside_call_due ON outside_call (system, next_at) WHERE state = 'waiting';
CREATE INDEX outside_call_sending ON outside_call (lease_until) WHERE state = 'sending';
CREATE INDEX outside_call_open ON outside_call (tenant_id, system, line, nth) WHERE state IN ('waiting', 'sending');
CREATE INDEX outside_call_subject ON outside_call (tenant_id, subject, created_at);
CREATE INDEX outside_call_list ON outside_call (tenant_id, created_at, id);
CREATE INDEX outside_call_state ON outside_call (tenant_id, state, created_at, id);
CREATE INDEX outside_call_ended ON outside_call (ended_at) WHERE ended_at IS NOT NULL;

-- What DHCP and NetBox should hold of an address or a prefix, as last ordered.
CREATE TABLE outside_mirror (
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    system      TEXT NOT NULL CHECK (system IN ('dhcp', 'netbox')),
    -- As the address table has it; of a prefix the first.
    address     BYTEA NOT NULL,
    -- The length of a prefix; -1 for an address.
    length      BIGINT NOT NULL,
    -- The order that stands, as JSON.
    wanted      TEXT NOT NULL,
    -- Whether an operation ordered it, so that what the register says of the address does not count.
    ordered     BOOLEAN NOT NULL,
    -- The row it was read from, and at which version; 0 when it was ordered, or must be read again.
    row_id      BIGINT NOT NULL,
    row_version BIGINT NOT NULL,
    -- What NetBox calls it.
    remote_id   BIGINT,
    PRIMARY KEY (tenant_id, system, address, length)
);
