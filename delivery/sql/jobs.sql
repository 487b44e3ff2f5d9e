-- name: insert_chunks
-- Every included position, cut into runs; one statement whatever the size of the audience.
INSERT INTO delivery_chunk (environment_id, job_id, number, first_position, last_position, state, fence, lease_owner,
                            intent_position, done_position)
SELECT %(environment)s, %(job)s, n, (n - 1) * %(size)s + 1, least(n * %(size)s, %(included)s), 0, 0, '',
       (n - 1) * %(size)s, (n - 1) * %(size)s
FROM generate_series(1, (%(included)s + %(size)s - 1) / %(size)s) AS n

-- name: next_retry
SELECT min(next_attempt_at) FROM delivery_message
WHERE environment_id = %(environment)s AND job_id = %(job)s AND next_attempt_at IS NOT NULL

-- name: leases
-- Live and lost leases of one job, by the database's clock: the one that hands them out.
SELECT count(*) FILTER (WHERE lease_until >= clock_timestamp()), count(*) FILTER (WHERE lease_until < clock_timestamp())
FROM delivery_chunk WHERE environment_id = %(environment)s AND job_id = %(job)s AND state = 1

-- name: jobs_to_ring
-- Open jobs whose doorbell is due, with how many workers they have and how many pieces of work wait. Partial indexes only.
SELECT j.id, j.environment_id, j.state,
       (SELECT count(*) FROM delivery_chunk c WHERE c.job_id = j.id AND c.state = 1),
       (SELECT count(*) FROM (SELECT 1 FROM delivery_chunk c WHERE c.job_id = j.id AND c.state = 0 LIMIT %(workers)s) w),
       (SELECT count(*) FROM (SELECT 1 FROM delivery_message m WHERE m.environment_id = j.environment_id
                              AND m.job_id = j.id AND m.next_attempt_at <= %(now)s LIMIT 1) r)
FROM delivery_sendjob j
WHERE j.state NOT IN ('finished', 'cancelled', 'paused') AND j.next_ring_at <= %(now)s
  AND (j.held_until IS NULL OR j.held_until <= %(now)s OR j.state <> 'sending')
ORDER BY j.next_ring_at
LIMIT %(jobs)s
