-- name: variants_at
-- Which message of an A/B split these members get. Erased people have none any more.
SELECT position, fields ->> 'variant'
FROM audiences_snapshotmember
WHERE taken_month = %(month)s AND snapshot_id = %(snapshot)s AND position = ANY(%(positions)s::int[])
    AND fields ->> 'variant' IS NOT NULL

-- name: waterfall_by_variant
-- The accounts of a job by message of its split. Two keys are read once, in order.
SELECT m.fields ->> 'variant', d.account, count(*)
FROM delivery_message d
JOIN audiences_snapshotmember m
    ON m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s AND m.position = d.position
WHERE d.environment_id = %(environment)s AND d.job_id = %(job)s
GROUP BY 1, 2
