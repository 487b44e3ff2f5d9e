-- name: open_pace_day
-- Today's row is there, and nobody else counts on this job's days until this transaction ends.
INSERT INTO delivery_paceday (environment_id, job_id, day, taken) VALUES (%(environment)s, %(job)s, %(day)s, 0)
ON CONFLICT (job_id, day) DO NOTHING

-- name: pace_days
SELECT day, taken FROM delivery_paceday WHERE job_id = %(job)s ORDER BY day FOR UPDATE

-- name: take_pace_day
UPDATE delivery_paceday SET taken = taken + %(count)s WHERE job_id = %(job)s AND day = %(day)s

-- name: hold_for_turn
-- Closed by the campaign's own rules: nobody is claimed, and no doorbell rings, until then.
UPDATE delivery_sendjob SET held_until = %(until)s, held_code = %(code)s, held_reason = %(reason)s, next_ring_at = %(until)s
WHERE id = %(job)s AND state = 'sending'

-- name: zones_of
SELECT id, time_zone FROM audiences_person WHERE environment_id = %(environment)s AND id = ANY(%(people)b::bigint[])

-- name: open_domain_paces
INSERT INTO delivery_domainpace (environment_id, domain, paced_until, queued_until)
SELECT %(environment)s, domain, %(past)s, %(past)s FROM unnest(%(domains)b::text[]) AS domain ORDER BY domain
ON CONFLICT (environment_id, domain) DO NOTHING

-- name: lock_domain_paces
-- What another claim holds is passed over: its people get a later turn, and nobody ever waits for a mailbox provider.
SELECT domain, paced_until, queued_until FROM delivery_domainpace
WHERE environment_id = %(environment)s AND domain = ANY(%(domains)b::text[])
FOR UPDATE SKIP LOCKED

-- name: keep_domain_paces
UPDATE delivery_domainpace d SET paced_until = n.paced_until, queued_until = n.queued_until
FROM unnest(%(domains)b::text[], %(paced)b::timestamptz[], %(queued)b::timestamptz[])
     AS n(domain, paced_until, queued_until)
WHERE d.environment_id = %(environment)s AND d.domain = n.domain

-- name: park_messages
-- Claimed, and not their turn: they wait like people of a second attempt, but this was none.
UPDATE delivery_message m
SET account = 5, rank = 20, attempts = m.attempts - 1, next_attempt_at = t.until, code = t.code, detail = t.detail
FROM unnest(%(positions)b::int[], %(until)b::timestamptz[], %(codes)b::text[], %(details)b::text[])
     AS t(position, until, code, detail)
WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.position = t.position AND m.account = 2

-- name: skip_messages
-- Claimed after the window closed, and the campaign leaves such people out.
UPDATE delivery_message m
SET account = 0, rank = 90, attempts = m.attempts - 1, next_attempt_at = NULL, code = %(code)s, detail = %(detail)s
WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.position = ANY(%(positions)b::int[])
  AND m.account = 2

-- name: give_pace_back
-- People whose turn had not come use nothing of the rate.
UPDATE delivery_jobcounters SET paced_until = paced_until - make_interval(secs => %(count)s * 60.0 / %(rate)s)
WHERE job_id = %(job)s

-- name: cap_chunk
-- Everybody behind the send limit, as one run that is cancelled from the start.
INSERT INTO delivery_chunk (environment_id, job_id, number, first_position, last_position, state, fence, lease_owner,
                            intent_position, done_position)
SELECT %(environment)s, %(job)s, coalesce(max(number), 0) + 1, %(cap)s + 1, %(included)s, 3, 0, '', %(cap)s, %(cap)s
FROM delivery_chunk WHERE job_id = %(job)s

-- name: taken_days
SELECT day, taken FROM delivery_paceday WHERE job_id = %(job)s

-- name: waiting_turns
-- Everybody without a message yet, or with one that waits, by time zone and by the domains that have a limit.
SELECT p.time_zone, CASE WHEN d.domain = ANY(%(domains)b::text[]) THEN d.domain ELSE '' END, count(*)
FROM audiences_snapshotmember s
JOIN audiences_person p ON p.id = s.person_id AND p.environment_id = s.environment_id
CROSS JOIN LATERAL (SELECT lower(substring(s.address FROM '[^@]*$')) AS domain) d
LEFT JOIN delivery_message m ON m.environment_id = s.environment_id AND m.job_id = %(job)s AND m.position = s.position
WHERE s.taken_month = %(month)s AND s.snapshot_id = %(snapshot)s AND s.environment_id = %(environment)s
  AND s.position BETWEEN 1 AND coalesce(%(cap)s::int, 2147483647)
  AND (m.position IS NULL OR m.next_attempt_at IS NOT NULL)
GROUP BY 1, 2
