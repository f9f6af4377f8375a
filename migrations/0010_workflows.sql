-- What is done for a person in several steps, all or nothing, and how far it is.
CREATE TABLE workflow_run (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL REFERENCES tenant (id),
    kind         TEXT NOT NULL CHECK (kind IN ('provision', 'suspend', 'resume', 'deprovision')),
    -- Whom it is about: `email/ann@example.com` until there is a user, then `user/0192…`.
    subject      TEXT NOT NULL,
    -- What a person calls them.
    label        TEXT NOT NULL,
    -- What was asked for, as JSON. No secrets.
    input        TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'partially_completed', 'failed', 'rolling_back', 'rolled_back', 'rollback_failed', 'timeout')),
    -- Whether it is still to come to its end, so that no other is about the same subject.
    live         BOOLEAN NOT NULL CHECK (live = (status IN ('pending', 'running', 'failed', 'rolling_back'))),
    -- Why it failed or is undone. For a person.
    reason       TEXT NOT NULL,
    -- Whether it is undone because it took too long.
    timed_out    BOOLEAN NOT NULL,
    created_by   TEXT NOT NULL,
    -- Who had it undone; nobody if it was not asked for.
    cancelled_by TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    finished_at  BIGINT,
    -- When it has taken too long.
    deadline     BIGINT NOT NULL,
    -- When there is something to do.
    next_at      BIGINT NOT NULL,
    -- The process that does it, and until when that is believed to be alive without a new word.
    runner       TEXT NOT NULL,
    lease_until  BIGINT NOT NULL
);
-- Two about one subject never interleave.
CREATE UNIQUE INDEX workflow_run_live ON workflow_run (tenant_id, subject) WHERE live;
CREATE INDEX workflow_run_due ON workflow_run (next_at) WHERE status IN ('pending', 'running', 'rolling_back');
CREATE INDEX workflow_run_list ON workflow_run (tenant_id, created_at, id);
CREATE INDEX workflow_run_status ON workflow_run (tenant_id, status, created_at, id);
CREATE INDEX workflow_run_finished ON workflow_run (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE workflow_step (
    run_id        TEXT NOT NULL REFERENCES workflow_run (id) ON DELETE CASCADE,
    position      BIGINT NOT NULL,
    name          TEXT NOT NULL,
    -- Whether the run fails when it does.
    required      BOOLEAN NOT NULL,
    -- `done` is written in the transaction that does it, `undone` in the one that undoes it.
    status        TEXT NOT NULL CHECK (status IN ('pending', 'running', 'done', 'failed', 'undone', 'undo_failed')),
    attempts      BIGINT NOT NULL,
    undo_attempts BIGINT NOT NULL,
    -- What went wrong last. For a person.
    error         TEXT NOT NULL,
    -- What was done, as its undo needs to know it: JSON. No secrets.
    saved         TEXT NOT NULL,
    started_at    BIGINT,
    finished_at   BIGINT,
    PRIMARY KEY (run_id, position)
);
