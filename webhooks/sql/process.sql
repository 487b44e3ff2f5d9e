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

-- name: take_turn_to_claim
-- Until commit, a moment later. Two workers would both see the events that neither has a committed lease of.
SELECT pg_advisory_xact_lock(hashtextextended('webhooks.claim', %(environment_id)s))

-- name: claim
-- What is due and held by nobody, oldest first, until it is enough: the lease alone is written, no event.
WITH due AS MATERIALIZED (
    SELECT * FROM (
        SELECT *, sum(octet_length(raw)) OVER (ORDER BY next_attempt_at, id) - octet_length(raw) AS bytes_before
          FROM (SELECT id, event_id, source, received_at, raw, attempts, endpoint_id, headers, next_attempt_at
                  FROM webhooks_inboundevent
                 WHERE environment_id = %(environment_id)b AND state IN ('received', 'retry')
                   AND next_attempt_at <= %(now)b
                   AND id NOT IN (SELECT unnest(event_ids) FROM webhooks_inboundlease
                                   WHERE environment_id = %(environment_id)b)
                 ORDER BY next_attempt_at, id LIMIT %(limit)b) AS oldest
    ) AS summed
     WHERE bytes_before < %(bytes_max)b
), lease AS (
    INSERT INTO webhooks_inboundlease (environment_id, event_ids, ends_at)
    SELECT %(environment_id)b, array_agg(id), %(lease_ends)b FROM due HAVING count(*) > 0
    RETURNING id
)
SELECT due.id, due.event_id, due.source, due.received_at, due.raw, due.attempts + 1, due.endpoint_id,
       CASE WHEN due.source = 'provider' THEN due.headers END, lease.id
  FROM due CROSS JOIN lease

-- name: expire_leases
-- Their workers died: now the try counts, on each event that is still open.
WITH dead AS (
    DELETE FROM webhooks_inboundlease WHERE ends_at <= %(now)s RETURNING event_ids
)
UPDATE webhooks_inboundevent AS event
   SET state = 'processing', attempts = event.attempts + 1, next_attempt_at = %(now)s
  FROM (SELECT unnest(event_ids) AS id FROM dead) AS held
 WHERE event.id = held.id AND event.state IN ('received', 'retry')

-- name: end_lease
-- A worker settles events that it holds, so as many as the lease has are all of them.
DELETE FROM webhooks_inboundlease WHERE id = %(lease)b AND cardinality(event_ids) = %(count)b

-- name: shorten_lease
UPDATE webhooks_inboundlease
   SET event_ids = ARRAY(SELECT unnest(event_ids) EXCEPT SELECT unnest(%(ids)b::bigint[]))
 WHERE id = %(lease)b

-- name: claim_abandoned
-- One event whose lease ended: its worker died. It is tried alone, so that the one that kills counts only its own.
UPDATE webhooks_inboundevent AS event
   SET attempts = event.attempts + 1, next_attempt_at = %(lease_ends)s
  FROM (SELECT id FROM webhooks_inboundevent
         WHERE environment_id = %(environment_id)s AND state = 'processing' AND next_attempt_at <= %(now)s
         ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) AS due
 WHERE event.id = due.id
RETURNING event.id, event.event_id, event.source, event.received_at, event.raw, event.attempts, event.endpoint_id,
       CASE WHEN event.source = 'provider' THEN event.headers END, NULL::bigint

-- name: take_turn
-- One environment's events take effect one batch after another, so that handlers of two workers can't deadlock.
SELECT pg_advisory_xact_lock(hashtextextended('webhooks.process', %(environment_id)s))

-- name: settle
-- In the handlers' own transaction. The fence of a batch is its lease, that of an abandoned event its count of attempts:
-- a worker that lost them settles nothing.
-- It stands in a CASE, where the planner can't guess: it believes that next to no event is `processing`, and would look
-- for each of them in all of the batch (250,000 comparisons for 500 events) instead of by primary key.
UPDATE webhooks_inboundevent AS event
   SET state = done.state, attempts = done.attempts, error = done.error, type = coalesce(done.type, event.type),
       occurred_at = coalesce(done.occurred_at, event.occurred_at),
       next_attempt_at = coalesce(done.next_attempt_at, event.next_attempt_at), handled_at = %(now)s
  FROM unnest(%(ids)b::bigint[], %(attempts)b::int[], %(states)b::text[], %(errors)b::text[], %(types)b::text[],
              %(occurred_ats)b::timestamptz[], %(next_attempt_ats)b::timestamptz[])
       AS done (id, attempts, state, error, type, occurred_at, next_attempt_at)
 WHERE event.id = done.id
   AND CASE WHEN event.state = 'processing' THEN NOT %(leased)b AND event.attempts = done.attempts
            ELSE %(leased)b AND event.state IN ('received', 'retry') END

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
