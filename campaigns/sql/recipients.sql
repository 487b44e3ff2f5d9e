-- name: recipients_everybody
-- Everybody included, in the order of the snapshot, with what became of their message. Reads one page of two keys.
SELECT m.position, p.public_id, m.address, m.reason, d.account, d.code, d.detail, d.attempts, d.last_event_at, d.overlays
FROM audiences_snapshotmember m
JOIN audiences_person p ON p.id = m.person_id
LEFT JOIN delivery_message d
       ON d.environment_id = %(environment)s AND d.job_id = %(job)s AND d.position = m.position
WHERE m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s AND m.position > greatest(%(after)s, 0)
ORDER BY m.position
LIMIT %(size)s

-- name: recipients_excluded
-- Who dropped out at the last moment (positive positions, partial index), then whom the snapshot left out (negative).
(SELECT d.position, p.public_id, d.address, 0 AS reason, d.account, d.code, d.detail, d.attempts, d.last_event_at,
        d.overlays
 FROM delivery_message d
 JOIN audiences_person p ON p.id = d.person_id
 WHERE d.environment_id = %(environment)s AND d.job_id = %(job)s AND d.exception = 0 AND d.position < %(after)s
 ORDER BY d.position DESC
 LIMIT %(size)s)
UNION ALL
(SELECT m.position, p.public_id, m.address, m.reason, 0, '', '', 0, NULL, 0
 FROM audiences_snapshotmember m
 JOIN audiences_person p ON p.id = m.person_id
 WHERE m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s AND m.position < least(%(after)s, 0)
 ORDER BY m.position DESC
 LIMIT %(size)s)
ORDER BY position DESC
LIMIT %(size)s

-- name: recipients_exceptional
-- People of one account that somebody looks for: the partial index message_exceptional.
SELECT d.position, p.public_id, d.address, 0 AS reason, d.account, d.code, d.detail, d.attempts, d.last_event_at, d.overlays
FROM delivery_message d
JOIN audiences_person p ON p.id = d.person_id
WHERE d.environment_id = %(environment)s AND d.job_id = %(job)s AND d.exception = ANY(%(accounts)s::smallint[])
  AND d.position > greatest(%(after)s, 0)
ORDER BY d.position
LIMIT %(size)s

-- name: recipients_cancelled
-- Messages that were cancelled, and people of cancelled chunks: of a cancelled job, or behind its send limit.
(SELECT d.position, p.public_id, d.address, 0 AS reason, d.account, d.code, d.detail, d.attempts, d.last_event_at,
        d.overlays
 FROM delivery_message d
 JOIN audiences_person p ON p.id = d.person_id
 WHERE d.environment_id = %(environment)s AND d.job_id = %(job)s AND d.exception = ANY(%(accounts)s::smallint[])
   AND d.position > greatest(%(after)s, 0)
 ORDER BY d.position
 LIMIT %(size)s)
UNION ALL
(SELECT m.position, p.public_id, m.address, 0, NULL, '', '', 0, NULL, 0
 FROM delivery_chunk c
 JOIN audiences_snapshotmember m ON m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s
      AND m.position > greatest(c.intent_position, %(after)s) AND m.position <= c.last_position
 JOIN audiences_person p ON p.id = m.person_id
 WHERE c.environment_id = %(environment)s AND c.job_id = %(job)s AND c.state = 3 AND c.positions IS NULL
   AND c.last_position > %(after)s
 ORDER BY m.position
 LIMIT %(size)s)
ORDER BY position
LIMIT %(size)s

-- name: recipients_usual
-- People of one of the accounts that most messages are in: the primary key in order, filtered.
SELECT d.position, p.public_id, d.address, 0 AS reason, d.account, d.code, d.detail, d.attempts, d.last_event_at, d.overlays
FROM delivery_message d
JOIN audiences_person p ON p.id = d.person_id
WHERE d.environment_id = %(environment)s AND d.job_id = %(job)s AND d.account = ANY(%(accounts)s::smallint[])
  AND d.position > greatest(%(after)s, 0)
ORDER BY d.position
LIMIT %(size)s

-- name: recipients_waiting
-- Included people without a message yet: positions no worker has taken, up to the last one that anybody will.
SELECT m.position, p.public_id, m.address, 0 AS reason, 1 AS account, '' AS code, '' AS detail, 0 AS attempts,
       NULL::timestamptz AS last_event_at, 0 AS overlays
FROM audiences_snapshotmember m
JOIN audiences_person p ON p.id = m.person_id
WHERE m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s AND m.position > greatest(%(after)s, 0)
  AND m.position <= %(last)s
  AND NOT EXISTS (SELECT 1 FROM delivery_message d WHERE d.environment_id = %(environment)s AND d.job_id = %(job)s
                  AND d.position = m.position AND d.account <> 1)
ORDER BY m.position
LIMIT %(size)s

-- name: recipients_named
-- People whose address starts with a text, in this snapshot: at most fifty people by the address index, then one scan
-- of this snapshot's key range.
WITH named AS (
    SELECT id, public_id FROM audiences_person
    WHERE environment_id = %(environment)s AND lower(email) LIKE %(prefix)s
    ORDER BY lower(email) LIMIT 50
)
SELECT m.position, n.public_id, m.address, m.reason, CASE WHEN m.position < 0 THEN 0 ELSE d.account END, d.code, d.detail,
       d.attempts, d.last_event_at, d.overlays
FROM named n
JOIN audiences_snapshotmember m
  ON m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s AND m.person_id = n.id
LEFT JOIN delivery_message d
       ON d.environment_id = %(environment)s AND d.job_id = %(job)s AND d.position = m.position
ORDER BY m.address
LIMIT %(size)s
