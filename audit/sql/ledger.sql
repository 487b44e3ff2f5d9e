-- name: next_batch
SELECT nextval(pg_get_serial_sequence('audit_ledgerbatch', 'id'));

-- name: post_entries
-- Arrays in binary form (4.6 us a row; as text 95). A key that is already in the book changes nothing and is not returned.
-- Sorted by key, so that two posters of the same keys wait for each other instead of deadlocking.
INSERT INTO audit_ledgerentry
    (environment_id, job_id, posting_key, source, target, quantity, reason, occurred_at, batch_id)
SELECT %(environment_id)s, %(job_id)s, new.key, new.source, new.target, new.quantity, new.reason, new.occurred_at,
       %(batch_id)s
FROM unnest(%(keys)b::text[], %(sources)b::smallint[], %(targets)b::smallint[], %(quantities)b::integer[],
            %(reasons)b::text[], %(moments)b::timestamptz[])
     AS new (key, source, target, quantity, reason, occurred_at)
ORDER BY new.key
ON CONFLICT DO NOTHING
RETURNING posting_key;

-- name: insert_batch
INSERT INTO audit_ledgerbatch (id, public_id, environment_id, job_id, entry_count, digest, posted_at, seal_id)
VALUES (%(id)s, %(public_id)s, %(environment_id)s, %(job_id)s, %(entry_count)s, %(digest)s, %(posted_at)s, NULL);

-- name: flows
-- The one aggregate behind every balance; reads the job's range of the primary key.
SELECT source, target, reason, sum(quantity)::bigint
FROM audit_ledgerentry
WHERE environment_id = %(environment_id)s AND job_id = %(job_id)s
GROUP BY source, target, reason;

-- name: unsealed_batches
-- SKIP LOCKED: two sealers share the work instead of sealing a batch twice.
SELECT id, digest, entry_count FROM audit_ledgerbatch
WHERE environment_id = %(environment_id)s AND seal_id IS NULL
ORDER BY id LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- name: mark_sealed
UPDATE audit_ledgerbatch SET seal_id = %(seal_id)s
WHERE environment_id = %(environment_id)s AND id = ANY(%(ids)s);

-- name: environments_to_seal
SELECT DISTINCT environment_id FROM audit_ledgerbatch WHERE seal_id IS NULL;
