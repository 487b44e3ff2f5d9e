-- name: preview_people
-- Everybody of an environment, or a sample of the table's pages. `sample`, `truth`, `predicate` and `counts` are put in
-- by audiences.preview from compiled rules.
audiences_person AS p {sample}
LEFT JOIN audiences_personfacts AS f ON f.environment_id = p.environment_id AND f.person_id = p.id
WHERE p.environment_id = %(environment)s AND p.erased_at IS NULL

-- name: preview_nodes
-- OFFSET 0 keeps the planner from computing the truth bits again for every count.
SELECT count(*), {counts}
FROM (SELECT {truth} AS truth FROM {people} OFFSET 0) AS t

-- name: preview_reasons
-- One reason a person, in the order of audiences.reasons. Of people with one address the first known one stays: the
-- smallest id carries its later reason in the lowest four bits.
WITH matched AS (
    SELECT
        p.id,
        CASE WHEN %(by_address)s THEN lower(p.email) ELSE p.id::text END AS address,
        CASE
            WHEN f.membership IS DISTINCT FROM 2 THEN 1
            WHEN %(by_address)s AND f.address_state = 0 THEN 2
            WHEN %(by_address)s AND f.address_state = 2 THEN 3
        END AS early,
        CASE
            WHEN f.consent_mask & %(channel)s = 0 THEN 5
            WHEN f.unsubscribed_mask & %(channel)s <> 0 THEN 6
            WHEN f.suppressed_mask & %(channel)s <> 0 THEN 7
            ELSE 0
        END AS late
    FROM {people} AND ({predicate})
),
firsts AS (
    SELECT min(id * 16 + late) %% 16 AS late, count(*) - 1 AS again
    FROM matched
    WHERE early IS NULL
    GROUP BY address
)
SELECT reason, sum(people)::bigint
FROM (
    SELECT early AS reason, count(*) AS people FROM matched WHERE early IS NOT NULL GROUP BY early
    UNION ALL
    SELECT late, count(*) FROM firsts GROUP BY late
    UNION ALL
    SELECT 4, sum(again) FROM firsts
) AS each
GROUP BY reason

-- name: preview_some
-- The newest people who match and can be contacted. Twins by address may both be shown.
SELECT p.id
FROM {people}
    AND ({predicate})
    AND f.membership = 2
    AND f.consent_mask & %(channel)s <> 0
    AND (f.unsubscribed_mask | f.suppressed_mask) & %(channel)s = 0
    AND (NOT %(by_address)s OR f.address_state = 1)
ORDER BY p.id DESC
LIMIT %(shown)s
