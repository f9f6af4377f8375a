-- Each tenant's calls that are due are found without walking over everybody else's.
DROP INDEX outside_call_due;
CREATE INDEX outside_call_due ON outside_call (system, tenant_id, next_at) WHERE state = 'waiting';
