-- name: messages_of_job
SELECT m.position, p.public_id, m.address, m.account, m.attempts, m.code, m.detail, m.last_event_at, m.next_attempt_at,
       m.overlays
FROM delivery_message m LEFT JOIN audiences_person p ON p.id = m.person_id AND p.environment_id = m.environment_id
WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.position > %(after)s
ORDER BY m.position LIMIT %(most)s

-- name: messages_of_account
-- For accounts that most messages are in: the first page is never far down the primary key.
SELECT m.position, p.public_id, m.address, m.account, m.attempts, m.code, m.detail, m.last_event_at, m.next_attempt_at,
       m.overlays
FROM delivery_message m LEFT JOIN audiences_person p ON p.id = m.person_id AND p.environment_id = m.environment_id
WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.account = %(account)s AND m.position > %(after)s
ORDER BY m.position LIMIT %(most)s

-- name: messages_of_exception
-- For the rare accounts: a partial index holds just them.
SELECT m.position, p.public_id, m.address, m.account, m.attempts, m.code, m.detail, m.last_event_at, m.next_attempt_at,
       m.overlays
FROM delivery_message m LEFT JOIN audiences_person p ON p.id = m.person_id AND p.environment_id = m.environment_id
WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.exception = %(account)s AND m.position > %(after)s
ORDER BY m.position LIMIT %(most)s

-- name: messages_of_address
SELECT m.position, p.public_id, m.address, m.account, m.attempts, m.code, m.detail, m.last_event_at, m.next_attempt_at,
       m.overlays
FROM audiences_person p JOIN delivery_message m
    ON m.environment_id = p.environment_id AND m.person_id = p.id AND m.job_id = %(job)s
WHERE p.environment_id = %(environment)s AND lower(p.email) = %(address)s
ORDER BY m.position

-- name: members_without_message
-- Positions behind the watermarks of the chunks that are not done: nobody intended to send to them yet.
SELECT s.position, p.public_id, s.address, 1, 0, '', '', NULL::timestamptz, NULL::timestamptz, 0
FROM delivery_chunk c
JOIN audiences_snapshotmember s ON s.taken_month = %(month)s AND s.snapshot_id = %(snapshot)s
    AND s.position > greatest(c.intent_position, %(after)s) AND s.position <= c.last_position
    AND s.environment_id = c.environment_id
LEFT JOIN audiences_person p ON p.id = s.person_id AND p.environment_id = s.environment_id
WHERE c.environment_id = %(environment)s AND c.job_id = %(job)s AND c.state < 2 AND c.positions IS NULL
  AND c.last_position > %(after)s
ORDER BY s.position LIMIT %(most)s

-- name: excluded_people
-- Those left out at hand-off, then those that the snapshot left out (negative positions, nearest zero first).
(SELECT m.position, p.public_id, m.address, m.account, m.attempts, m.code, m.detail, m.last_event_at, m.next_attempt_at,
        m.overlays
 FROM delivery_message m LEFT JOIN audiences_person p ON p.id = m.person_id AND p.environment_id = m.environment_id
 WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.exception = %(account)s
   AND m.position > %(after)s::bigint
 ORDER BY m.position LIMIT %(most)s)
UNION ALL
(SELECT s.position, p.public_id, s.address, 0, 0::smallint, '', (%(reasons)b::text[])[s.reason], NULL, NULL, 0::smallint
 FROM audiences_snapshotmember s
 LEFT JOIN audiences_person p ON p.id = s.person_id AND p.environment_id = s.environment_id
 WHERE s.taken_month = %(month)s AND s.snapshot_id = %(snapshot)s AND s.environment_id = %(environment)s
   AND s.position < 0 AND s.position < %(left_out)s::bigint - greatest(%(after)s::bigint, %(left_out)s::bigint)
 ORDER BY s.position DESC LIMIT %(most)s)
LIMIT %(most)s

-- name: cancelled_people
SELECT * FROM (
    (SELECT m.position, p.public_id, m.address, m.account, m.attempts, m.code, m.detail, m.last_event_at,
            m.next_attempt_at, m.overlays
     FROM delivery_message m LEFT JOIN audiences_person p ON p.id = m.person_id AND p.environment_id = m.environment_id
     WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.exception = %(account)s
       AND m.position > %(after)s
     ORDER BY m.position LIMIT %(most)s)
    UNION ALL
    (SELECT s.position, p.public_id, s.address, 10, 0::smallint, '',
            CASE WHEN s.position > j.total_cap THEN 'Behind the send limit' ELSE '' END, j.finished_at, NULL, 0::smallint
     FROM delivery_chunk c
     JOIN delivery_sendjob j ON j.id = c.job_id
     JOIN audiences_snapshotmember s ON s.taken_month = %(month)s AND s.snapshot_id = %(snapshot)s
         AND s.position > greatest(c.intent_position, %(after)s) AND s.position <= c.last_position
         AND s.environment_id = c.environment_id
     LEFT JOIN audiences_person p ON p.id = s.person_id AND p.environment_id = s.environment_id
     WHERE c.environment_id = %(environment)s AND c.job_id = %(job)s AND c.state = 3 AND c.positions IS NULL
       AND c.last_position > %(after)s
     ORDER BY s.position LIMIT %(most)s)
) people
ORDER BY 1 LIMIT %(most)s

-- name: count_messages
-- The messages themselves, by account: what the ledger is compared with.
SELECT account, count(*) FROM delivery_message WHERE environment_id = %(environment)s AND job_id = %(job)s GROUP BY 1

-- name: count_unclaimed
-- Positions that no message exists for: waiting, or cancelled with their chunk.
SELECT state = 3, coalesce(sum(last_position - intent_position), 0)::bigint FROM delivery_chunk
WHERE environment_id = %(environment)s AND job_id = %(job)s AND positions IS NULL AND state <> 2
GROUP BY 1

-- name: unmatched_receipts
SELECT count(*) FROM delivery_receipt WHERE environment_id = %(environment)s AND job_id IS NULL

-- name: captured_twice
-- Messages that the capture server got more than once: each would be a duplicate.
SELECT count(*) FROM (
    SELECT 1 FROM delivery_capturedmail WHERE environment_id = %(environment)s AND job_id = %(job)s
    GROUP BY position HAVING count(*) > 1) twice

-- name: foreign_rows
-- Mass rows whose environment is not their job's: there can be none.
SELECT (SELECT count(*) FROM delivery_message m JOIN delivery_sendjob j ON j.id = m.job_id
        WHERE m.environment_id <> j.environment_id)
     + (SELECT count(*) FROM delivery_receipt r JOIN delivery_sendjob j ON j.id = r.job_id
        WHERE r.environment_id <> j.environment_id)
     + (SELECT count(*) FROM delivery_jobminute s JOIN delivery_sendjob j ON j.id = s.job_id
        WHERE s.environment_id <> j.environment_id)
     + (SELECT count(*) FROM delivery_capturedmail c JOIN delivery_sendjob j ON j.id = c.job_id
        WHERE c.environment_id <> j.environment_id)
     + (SELECT count(*) FROM delivery_consentevent e JOIN audiences_person p ON p.id = e.person_id
        WHERE e.environment_id <> p.environment_id)
