-- name: lost_leases
-- Leases whose end has passed, by the database's clock. Locked, so that the worker and the sweep can't both win.
SELECT environment_id, job_id, number, fence, intent_position, done_position, last_position, positions, lease_owner,
       lease_until
FROM delivery_chunk WHERE state = 1 AND lease_until < clock_timestamp()
ORDER BY lease_until LIMIT %(most)s FOR UPDATE SKIP LOCKED

-- name: open_window_becomes_uncertain
-- What was intended and has no outcome: the other side may have it.
UPDATE delivery_message
SET account = 3, rank = 20, settled_at = %(now)s, last_event_at = %(now)s, code = 'lease_lost', detail = %(detail)s
WHERE environment_id = %(environment)s AND job_id = %(job)s AND account = 2
  AND position BETWEEN %(first)s AND %(intent)s  -- bounds the search also for single positions
  AND CASE WHEN %(positions)s::int[] IS NULL THEN position > %(done)s AND position <= %(intent)s
           ELSE position = ANY(%(positions)s::int[]) END

-- name: free_chunk
-- The fence moves on: a worker that comes back with the old one writes nothing.
UPDATE delivery_chunk
SET state = CASE WHEN intent_position = last_position THEN 2 ELSE 0 END, done_position = intent_position,
    fence = fence + 1, lease_owner = '', lease_until = NULL
WHERE job_id = %(job)s AND number = %(number)s

-- name: paused_jobs
-- Jobs that were asked to pause and have nobody at work any more.
UPDATE delivery_sendjob j SET state = 'paused', paused_at = %(now)s, state_version = j.state_version + 1
WHERE j.id = %(job)s AND j.state = 'pausing'
  AND NOT EXISTS (SELECT 1 FROM delivery_chunk c WHERE c.job_id = j.id AND c.state = 1)

-- name: finish_job
-- Only with nothing pending, in flight or waiting for another attempt; only once.
UPDATE delivery_sendjob j SET state = 'finished', finished_at = %(now)s, state_version = j.state_version + 1
FROM delivery_jobcounters b
WHERE j.id = %(job)s AND b.job_id = j.id AND j.state = 'sending'
  AND b.pending = 0 AND b.in_flight = 0 AND b.retrying = 0

-- name: lock_cancelling_job
-- Nobody can claim while this holds the row; with a lease left, wait for it.
SELECT j.id FROM delivery_sendjob j
WHERE j.id = %(job)s AND j.state = 'cancelling'
  AND NOT EXISTS (SELECT 1 FROM delivery_chunk c WHERE c.job_id = j.id AND c.state = 1)
FOR UPDATE

-- name: cancel_chunks
UPDATE delivery_chunk SET state = 3 WHERE job_id = %(job)s AND state = 0

-- name: cancel_waiting
UPDATE delivery_message
SET account = 10, rank = 90, settled_at = %(now)s, last_event_at = %(now)s, next_attempt_at = NULL
WHERE environment_id = %(environment)s AND job_id = %(job)s AND next_attempt_at IS NOT NULL

-- name: pending_of_job
SELECT pending FROM delivery_jobcounters WHERE job_id = %(job)s FOR UPDATE

-- name: end_cancelled_job
UPDATE delivery_sendjob SET state = 'cancelled', finished_at = %(now)s, state_version = state_version + 1
WHERE id = %(job)s
