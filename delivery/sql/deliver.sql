-- name: claim_chunk
-- The lowest pending chunk that nobody else holds. The job row is share-locked: ending a job waits for this, or we see it.
WITH job AS (
    SELECT id FROM delivery_sendjob
    WHERE id = %(job)s AND state = 'sending' AND (held_until IS NULL OR held_until <= %(now)s) FOR SHARE
), pick AS (
    SELECT c.job_id, c.number FROM delivery_chunk c
    WHERE c.job_id = (SELECT id FROM job) AND c.state = 0
    ORDER BY c.number LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE delivery_chunk c
SET state = 1, fence = c.fence + 1, lease_owner = %(owner)s,
    lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
FROM pick WHERE c.job_id = pick.job_id AND c.number = pick.number
RETURNING c.number, c.fence

-- name: claim_job_for_retries
-- Retries are claimed by one worker at a time: that keeps the numbers of their chunks apart.
SELECT j.id FROM delivery_sendjob j JOIN delivery_jobcounters b ON b.job_id = j.id
WHERE j.id = %(job)s AND j.state = 'sending' AND (j.held_until IS NULL OR j.held_until <= %(now)s) AND b.retrying > 0
FOR NO KEY UPDATE OF j

-- name: insert_retry_chunk
INSERT INTO delivery_chunk (environment_id, job_id, number, first_position, last_position, positions, state, fence,
                            lease_owner, lease_until, intent_position, done_position)
SELECT %(environment)s, %(job)s, coalesce(max(number), 0) + 1, %(first)s, %(last)s, %(positions)b, 1, 1, %(owner)s,
       clock_timestamp() + make_interval(secs => %(seconds)s), %(last)s, %(first)s - 1
FROM delivery_chunk WHERE job_id = %(job)s
RETURNING number, fence

-- name: renew_lease
-- What was intended has its outcome now. No row: the lease was lost, and with it the right to write anything; or a
-- window is open that the worker does not know, because the connection broke while its claim was being committed.
UPDATE delivery_chunk
SET done_position = intent_position, lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE job_id = %(job)s AND number = %(number)s AND fence = %(fence)s AND state = 1
  AND intent_position = coalesce(%(settled)s, done_position)
RETURNING intent_position, last_position

-- name: intend
UPDATE delivery_chunk SET intent_position = %(last)s
WHERE job_id = %(job)s AND number = %(number)s AND fence = %(fence)s AND state = 1

-- name: end_lease
-- Done when its last position has an outcome, else somebody else goes on behind the watermark.
UPDATE delivery_chunk
SET state = CASE WHEN done_position = last_position THEN 2 ELSE 0 END, lease_owner = '', lease_until = NULL
WHERE job_id = %(job)s AND number = %(number)s AND fence = %(fence)s AND state = 1

-- name: job_control
SELECT state, rate_per_minute, held_until IS NOT NULL AND held_until > %(now)s FROM delivery_sendjob WHERE id = %(job)s

-- name: take_pace
-- The rate limit as one moment up to which it is used: free when that lies behind us, and then moved by what we take.
-- Nobody takes more than a minute ahead: what lies further was written by a clock that was wrong.
UPDATE delivery_jobcounters
SET paced_until = greatest(CASE WHEN paced_until <= %(now)s THEN paced_until END, %(now)s - interval '1 second')
    + make_interval(secs => %(count)s * 60.0 / %(rate)s)
WHERE job_id = %(job)s
  AND (paced_until IS NULL OR paced_until <= %(now)s OR paced_until > %(now)s + interval '61 seconds')
RETURNING paced_until

-- name: paced_until
SELECT paced_until FROM delivery_jobcounters WHERE job_id = %(job)s

-- name: claim_window
-- Members of a run of positions, checked against what holds now, with their message written as in flight (or excluded).
WITH members AS MATERIALIZED (
    SELECT m.position, m.person_id, m.address, m.fields,
           -- include: reason_now
           AS reason
    FROM audiences_snapshotmember m
    -- include: facts_now
    WHERE m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s AND m.environment_id = %(environment)s
      AND m.position BETWEEN %(first)s AND %(last)s
), written AS (
    INSERT INTO delivery_message (environment_id, job_id, position, person_id, account, rank, attempts, overlays,
                                  settled_at, last_event_at, address, code, detail)
    SELECT %(environment)s, %(job)s, position, person_id, CASE WHEN reason = 0 THEN 2 ELSE 0 END,
           CASE WHEN reason = 0 THEN 10 ELSE 90 END, CASE WHEN reason = 0 THEN 1 ELSE 0 END, 0, %(now)s, %(now)s, address,
           CASE WHEN reason = 0 THEN '' ELSE (%(reasons)b::text[])[reason] END,
           CASE WHEN reason = 0 THEN '' ELSE 'Left out at hand-off' END
    FROM members
    ON CONFLICT DO NOTHING
    RETURNING position
)
SELECT position, person_id, address, fields, reason, 1,
       position IN (SELECT written.position FROM written)  -- hashed; a join of two unknown sizes becomes a nested loop
FROM members
ORDER BY position

-- name: write_outcomes
-- No index covers what changes here, so that the usual outcome is a HOT update. First and last position bound the search
-- also while the tables have no statistics yet: without them it reads all messages of the job.
UPDATE delivery_message m
SET account = o.account, rank = o.rank, code = o.code, detail = o.detail, settled_at = %(now)s,
    last_event_at = %(now)s, next_attempt_at = o.next_attempt_at
FROM unnest(%(positions)b::int[], %(accounts)b::smallint[], %(ranks)b::smallint[], %(codes)b::text[],
            %(details)b::text[], %(next)b::timestamptz[]) AS o(position, account, rank, code, detail, next_attempt_at)
WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.position = o.position AND m.account = 2
  AND m.position BETWEEN %(first)s AND %(last)s

-- name: hold_job
UPDATE delivery_sendjob
SET held_until = %(until)s, held_code = '', held_reason = %(reason)s, next_ring_at = %(until)s
WHERE id = %(job)s AND state = 'sending'

-- name: note_first_send
UPDATE delivery_sendjob SET first_sent_at = %(now)s WHERE id = %(job)s AND first_sent_at IS NULL
