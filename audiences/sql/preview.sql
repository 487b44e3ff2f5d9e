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
-- After `judge`: the reasons of a snapshot, only counted.
SELECT reason, count(*) FROM judged GROUP BY reason

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

-- name: preview_turns
-- After `judge`: who would be contacted, by their time zone and by those mailbox domains that were asked for; and who
-- would be but for the frequency cap.
SELECT time_zone, CASE WHEN domain = ANY(%(domains)s) THEN domain ELSE '' END, count(*) FILTER (WHERE reason = 0),
       count(*) FILTER (WHERE reason <> 0)
FROM (SELECT time_zone, lower(substring(address FROM '[^@]*$')) AS domain, reason
      FROM judged WHERE reason IN (0, %(capped)s)) t
GROUP BY 1, 2

-- name: people_in_table
-- As vacuum counted them last: a sample needs no more, and counting five million takes longer than the sample.
SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'audiences_person'::regclass

-- name: people_in_sample
-- Whose the sampled pages are: the sample of the counts, read again.
SELECT count(*) FILTER (WHERE p.environment_id = %(environment)s AND p.erased_at IS NULL), count(*)
FROM audiences_person AS p {sample}
