-- name: due_environments
-- A loose scan of each of the queue's two indexes: costs one probe per environment with open events, however many events
-- each has.
WITH RECURSIVE queued AS (
    (SELECT environment_id FROM webhooks_inboundevent
      WHERE state IN ('received', 'retry') ORDER BY environment_id LIMIT 1)
    UNION ALL
    SELECT (SELECT environment_id FROM webhooks_inboundevent
             WHERE state IN ('received', 'retry') AND environment_id > queued.environment_id
             ORDER BY environment_id LIMIT 1)
      FROM queued WHERE queued.environment_id IS NOT NULL
), leased AS (
    (SELECT environment_id FROM webhooks_inboundevent WHERE state = 'processing' ORDER BY environment_id LIMIT 1)
    UNION ALL
    SELECT (SELECT environment_id FROM webhooks_inboundevent
             WHERE state = 'processing' AND environment_id > leased.environment_id ORDER BY environment_id LIMIT 1)
      FROM leased WHERE leased.environment_id IS NOT NULL
)
SELECT environment_id FROM queued
 WHERE environment_id IS NOT NULL
   AND EXISTS (SELECT FROM webhooks_inboundevent AS event
                WHERE event.environment_id = queued.environment_id
                  AND event.state IN ('received', 'retry') AND event.next_attempt_at <= %(now)s)
UNION
SELECT environment_id FROM leased
 WHERE environment_id IS NOT NULL
   AND EXISTS (SELECT FROM webhooks_inboundevent AS event
                WHERE event.environment_id = leased.environment_id
                  AND event.state = 'processing' AND event.next_attempt_at <= %(now)s)

-- name: claim
-- Attempts are counted here and committed before any handler runs, so that an event which kills its worker is known.
UPDATE webhooks_inboundevent AS event
   SET state = 'processing', attempts = event.attempts + 1, next_attempt_at = %(lease_ends)s
  FROM (SELECT id FROM webhooks_inboundevent
         WHERE environment_id = %(environment_id)s AND state IN ('received', 'retry') AND next_attempt_at <= %(now)s
         ORDER BY next_attempt_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS due
 WHERE event.id = due.id
RETURNING event.id, event.event_id, event.source, event.received_at, event.raw, event.attempts, event.endpoint_id,
       CASE WHEN event.source = 'provider' THEN event.headers END

-- name: claim_abandoned
-- One event whose lease ended: its worker died. It is tried alone, so that the one that kills counts only its own.
UPDATE webhooks_inboundevent AS event
   SET attempts = event.attempts + 1, next_attempt_at = %(lease_ends)s
  FROM (SELECT id FROM webhooks_inboundevent
         WHERE environment_id = %(environment_id)s AND state = 'processing' AND next_attempt_at <= %(now)s
         ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) AS due
 WHERE event.id = due.id
RETURNING event.id, event.event_id, event.source, event.received_at, event.raw, event.attempts, event.endpoint_id,
       CASE WHEN event.source = 'provider' THEN event.headers END

-- name: take_turn
-- One environment's events take effect one batch after another, so that handlers of two workers can't deadlock.
SELECT pg_advisory_xact_lock(hashtextextended('webhooks.process', %(environment_id)s))

-- name: settle
-- In the handlers' own transaction. `attempts` is the fence: a worker that lost its lease settles nothing.
-- The fence stands in a CASE, where the planner can't guess: it believes that next to no event is `processing`, and
-- would look for each of them in all of the batch (250,000 comparisons for 500 events) instead of by primary key.
UPDATE webhooks_inboundevent AS event
   SET state = done.state, error = done.error, type = coalesce(done.type, event.type),
       occurred_at = coalesce(done.occurred_at, event.occurred_at),
       next_attempt_at = coalesce(done.next_attempt_at, event.next_attempt_at), handled_at = %(now)s
  FROM unnest(%(ids)b::bigint[], %(attempts)b::int[], %(states)b::text[], %(errors)b::text[], %(types)b::text[],
              %(occurred_ats)b::timestamptz[], %(next_attempt_ats)b::timestamptz[])
       AS done (id, attempts, state, error, type, occurred_at, next_attempt_at)
 WHERE event.id = done.id AND CASE WHEN event.state = 'processing' THEN event.attempts = done.attempts ELSE false END

-- name: redrive
-- Back into the queue with a fresh count of attempts. What it was and why is in the audit trail.
UPDATE webhooks_inboundevent
   SET state = 'retry', attempts = 0, next_attempt_at = %(now)s
 WHERE environment_id = %(environment_id)s AND event_id = ANY(%(event_ids)s)
   AND state IN ('parked', 'quarantined', 'ignored', 'retry')
RETURNING event_id

-- name: unaudited_conflicts
SELECT id, environment_id, event_id, encode(sha256, 'hex') FROM webhooks_inboundconflict
 WHERE audited_at IS NULL ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED

-- name: mark_conflicts_audited
UPDATE webhooks_inboundconflict SET audited_at = %(now)s WHERE id = ANY(%(ids)s)

-- name: schemes_of
-- Of the provider's endpoints in one batch: whether their bodies are Lamba envelopes or somebody else's.
SELECT id, scheme FROM webhooks_endpoint WHERE id = ANY(%(ids)s)
