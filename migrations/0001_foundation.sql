-- One text for SQLite and PostgreSQL: TEXT, BIGINT, BOOLEAN and BYTEA only.
-- Times are seconds since 1970 in UTC; ids are UUIDs in their hyphenated form.

CREATE TABLE tenant (
    id              TEXT PRIMARY KEY,
    -- Prefix of the tenant's endpoints in Asterisk; empty for the default tenant.
    slug            TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL UNIQUE,
    time_zone       TEXT NOT NULL,
    first_extension BIGINT NOT NULL,
    last_extension  BIGINT NOT NULL,
    version         BIGINT NOT NULL DEFAULT 1,
    -- Bumped first by whoever allocates a number, so that two wait for each other.
    generation      BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    CHECK (10 <= first_extension AND first_extension <= last_extension AND last_extension <= 99999999)
);
INSERT INTO tenant (id, slug, name, time_zone, first_extension, last_extension, created_at)
VALUES ('a0000000-0000-0000-0000-000000000000', '', 'Default', 'UTC', 1000, 1999, 0);

CREATE TABLE operator (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL REFERENCES tenant (id),
    name          TEXT NOT NULL UNIQUE,
    role          TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'helpdesk', 'auditor')),
    -- Argon2id, PHC string; NULL until the operator has chosen a password.
    password_hash TEXT,
    disabled      BOOLEAN NOT NULL,
    version       BIGINT NOT NULL DEFAULT 1,
    created_at    BIGINT NOT NULL,
    last_seen_at  BIGINT
);
CREATE INDEX operator_tenant ON operator (tenant_id, name);

CREATE TABLE session (
    -- SHA-256 of the id in the cookie.
    id_hash      TEXT PRIMARY KEY,
    operator_id  TEXT REFERENCES operator (id) ON DELETE CASCADE,
    state        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL
);
CREATE INDEX session_operator ON session (operator_id);
CREATE INDEX session_last_seen ON session (last_seen_at);

CREATE TABLE api_token (
    id           TEXT PRIMARY KEY,
    operator_id  TEXT NOT NULL REFERENCES operator (id) ON DELETE CASCADE,
    label        TEXT NOT NULL,
    role         TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'helpdesk', 'auditor')),
    token_hash   TEXT NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    revoked_at   BIGINT
);
CREATE INDEX api_token_operator ON api_token (operator_id);

-- Links that work once: the first administrator's, and those with which a password is chosen.
CREATE TABLE one_time_link (
    token_hash  TEXT PRIMARY KEY,
    operator_id TEXT REFERENCES operator (id) ON DELETE CASCADE,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);

CREATE TABLE sign_in_failure (
    -- account:<name> or source:<address>
    subject       TEXT PRIMARY KEY,
    failures      BIGINT NOT NULL,
    last_at       BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL
);

CREATE TABLE audit_head (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    seq         BIGINT NOT NULL,
    hash        TEXT NOT NULL,
    -- The newest change that the configuration in force contains.
    applied_seq BIGINT NOT NULL
);
INSERT INTO audit_head (id, seq, hash, applied_seq) VALUES (1, 0, '', 0);

CREATE TABLE audit_event (
    seq              BIGINT PRIMARY KEY,
    at               BIGINT NOT NULL,
    tenant_id        TEXT NOT NULL,
    actor            TEXT NOT NULL,
    via              TEXT NOT NULL,
    source           TEXT NOT NULL,
    request_id       TEXT NOT NULL,
    action           TEXT NOT NULL,
    subject          TEXT NOT NULL,
    subject_id       TEXT NOT NULL,
    note             TEXT NOT NULL,
    before_json      TEXT NOT NULL,
    after_json       TEXT NOT NULL,
    affects_asterisk BOOLEAN NOT NULL,
    hash             TEXT NOT NULL
);
CREATE INDEX audit_event_tenant ON audit_event (tenant_id, seq);
CREATE INDEX audit_event_subject ON audit_event (tenant_id, subject_id, seq);

CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    name       TEXT NOT NULL,
    email      TEXT NOT NULL,
    -- Lower-case forms made by the program, so that both databases compare and sort alike.
    name_key   TEXT NOT NULL,
    email_key  TEXT NOT NULL,
    version    BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (tenant_id, email_key)
);
CREATE INDEX users_name ON users (tenant_id, name_key);
CREATE INDEX users_created ON users (tenant_id, created_at);

CREATE TABLE extension (
    tenant_id TEXT NOT NULL REFERENCES tenant (id),
    number    BIGINT NOT NULL,
    user_id   TEXT NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    enabled   BOOLEAN NOT NULL,
    -- The SIP secret, sealed for exactly this tenant and user.
    secret    BYTEA NOT NULL,
    secret_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, number)
);

CREATE TABLE idempotency (
    operator_id  TEXT NOT NULL REFERENCES operator (id) ON DELETE CASCADE,
    key          TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status       BIGINT NOT NULL,
    -- The whole answer, sealed: it may hold a SIP secret.
    body         BYTEA NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (operator_id, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);

CREATE TABLE apply_head (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    last_run    BIGINT NOT NULL,
    -- The run that holds the lock, if any, and until when its word counts.
    running     BIGINT,
    lease_until BIGINT NOT NULL
);
INSERT INTO apply_head (id, last_run, running, lease_until) VALUES (1, 0, NULL, 0);

CREATE TABLE apply_run (
    id          BIGINT PRIMARY KEY,
    started_at  BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    host        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    audit_seq   BIGINT NOT NULL,
    state       TEXT NOT NULL,
    step        TEXT NOT NULL,
    -- The release this run put, or tried to put, into force, and the one before.
    release     BIGINT,
    previous    BIGINT,
    duration_ms BIGINT,
    users       BIGINT,
    detail      TEXT NOT NULL,
    -- JSON: per module what was reloaded, how, and what came of it.
    modules     TEXT NOT NULL,
    -- JSON: what was found on the way, e.g. Asterisk's own log lines.
    findings    TEXT NOT NULL
);

CREATE TABLE apply_file (
    run_id  BIGINT NOT NULL REFERENCES apply_run (id),
    name    TEXT NOT NULL,
    sha256  TEXT NOT NULL,
    size    BIGINT NOT NULL,
    -- Compressed, then sealed: it holds digests that are as good as passwords.
    content BYTEA NOT NULL,
    PRIMARY KEY (run_id, name)
);
