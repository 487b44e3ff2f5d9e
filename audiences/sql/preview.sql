-- name: preview_people
-- Everybody of an environment, or a sample of the table's pages. What stands in braces is put in by audiences.counting
-- from compiled rules.
audiences_person AS p {sample}
JOIN audiences_personfacts AS f ON f.environment_id = p.environment_id AND f.person_id = p.id
WHERE p.environment_id = %(environment)s AND p.erased_at IS NULL

-- name: preview_nodes
-- OFFSET 0 keeps the planner from computing the truth bits again for every count.
SELECT count(*), {counts}
FROM (SELECT {truth} AS truth FROM {people} OFFSET 0) AS t

-- name: preview_reasons
-- The reasons of the statement `freeze`, only counted: of people with one address the one is kept whom the fewest
-- reasons speak against, so a group keeps its least late reason.
WITH matched AS (
    SELECT
        lower({address}) COLLATE "C" AS address,
        CASE
            WHEN f.membership <> 2 THEN 1
            WHEN {address} = '' THEN 2
            WHEN NOT ({valid}) THEN 3
        END AS early,
        CASE
            WHEN f.consent_mask & %(channel)s = 0 THEN 5
            WHEN f.unsubscribed_mask & %(channel)s <> 0 THEN 6
            WHEN f.suppressed_mask & %(channel)s <> 0 THEN 7
            ELSE 0
        END AS late
    FROM {people} AND ({predicate})
),
kept AS (
    SELECT min(late) AS late, count(*) - 1 AS again FROM matched WHERE early IS NULL GROUP BY address
)
SELECT reason, sum(people)::bigint
FROM (
    SELECT early AS reason, count(*) AS people FROM matched WHERE early IS NOT NULL GROUP BY early
    UNION ALL
    SELECT late, count(*) FROM kept GROUP BY late
    UNION ALL
    SELECT 4, sum(again) FROM kept
) AS each
GROUP BY reason

-- name: preview_some
-- The newest people who match and can be contacted. Twins by address may both be shown.
SELECT p.id, p.public_id
FROM {people}
    AND ({predicate})
    AND f.membership = 2
    AND f.consent_mask & %(channel)s <> 0
    AND (f.unsubscribed_mask | f.suppressed_mask) & %(channel)s = 0
    AND {address} <> ''
    AND {valid}
ORDER BY p.id DESC
LIMIT %(shown)s
