-- name: insert_receipts
-- The unique event id is what makes a repeated receipt change nothing.
INSERT INTO delivery_receipt (environment_id, event_id, type, job_id, position, message_id, recipient, code, detail,
                              occurred_at, received_at)
SELECT %(environment)s, r.event_id, r.type, r.job_id, r.position, r.message_id, r.recipient, r.code, r.detail,
       r.occurred_at, r.received_at
FROM unnest(%(event_ids)b::text[], %(types)b::text[], %(jobs)b::bigint[], %(positions)b::int[], %(message_ids)b::text[],
            %(recipients)b::text[], %(codes)b::text[], %(details)b::text[], %(times)b::timestamptz[],
            %(received)b::timestamptz[])
     AS r(event_id, type, job_id, position, message_id, recipient, code, detail, occurred_at, received_at)
ON CONFLICT (environment_id, event_id) DO NOTHING
RETURNING event_id

-- name: remember_receipts
-- What stands before a rebuild, for comparison; gone with its transaction.
CREATE TEMPORARY TABLE receipts_before ON COMMIT DROP AS
SELECT event_id, type, job_id, position, message_id, recipient, code, detail, occurred_at, received_at
FROM delivery_receipt WHERE environment_id = %(environment)s

-- name: erase_receipts
DELETE FROM delivery_receipt WHERE environment_id = %(environment)s

-- name: receipts_that_differ
WITH rebuilt AS (
    SELECT event_id, type, job_id, position, message_id, recipient, code, detail, occurred_at, received_at
    FROM delivery_receipt WHERE environment_id = %(environment)s
)
SELECT coalesce(b.event_id, r.event_id), b.told, r.told
FROM (SELECT event_id, receipts_before::text AS told FROM receipts_before) AS b
FULL JOIN (SELECT event_id, rebuilt::text AS told FROM rebuilt) AS r ON r.event_id = b.event_id
WHERE b.told IS DISTINCT FROM r.told
ORDER BY 1

-- name: forget_what_stood
DROP TABLE receipts_before

-- name: lock_messages
-- In one order everywhere, so that two batches of receipts can't wait for each other.
SELECT m.job_id, m.position, m.person_id, m.address, m.account, m.rank, m.settled_at, m.overlays,
       m.next_attempt_at IS NOT NULL, m.code, m.detail
FROM delivery_message m
JOIN unnest(%(jobs)b::bigint[], %(positions)b::int[]) AS p(job_id, position)
    ON m.job_id = p.job_id AND m.position = p.position
WHERE m.environment_id = %(environment)s
ORDER BY m.job_id, m.position
FOR UPDATE OF m

-- name: merge_messages
UPDATE delivery_message m
SET account = r.account, rank = r.rank, settled_at = r.settled_at, overlays = r.overlays, code = r.code,
    detail = r.detail, last_event_at = greatest(m.last_event_at, r.last_event_at),
    next_attempt_at = CASE WHEN r.waiting THEN m.next_attempt_at END
FROM unnest(%(jobs)b::bigint[], %(positions)b::int[], %(accounts)b::smallint[], %(ranks)b::smallint[],
            %(settled)b::timestamptz[], %(overlays)b::smallint[], %(waiting)b::bool[], %(codes)b::text[],
            %(details)b::text[], %(last)b::timestamptz[])
     AS r(job_id, position, account, rank, settled_at, overlays, waiting, code, detail, last_event_at)
WHERE m.environment_id = %(environment)s AND m.job_id = r.job_id AND m.position = r.position

-- name: note_unsubscribed
-- The overlay of a message whose reader unsubscribed, once.
UPDATE delivery_message SET overlays = overlays | 2, last_event_at = %(now)s
WHERE environment_id = %(environment)s AND person_id = %(person)s AND job_id = %(job)s AND overlays & 2 = 0

-- name: last_ends_of_person
-- Delivered, bounced, rejected or failed, newest first. By the unique index of person and job: a person's messages only.
SELECT account FROM delivery_message
WHERE environment_id = %(environment)s AND person_id = %(person)s AND address = %(address)s
  AND account BETWEEN 6 AND 9 AND settled_at >= %(since)s
ORDER BY settled_at DESC LIMIT %(most)s
