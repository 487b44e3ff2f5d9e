-- name: add_domains
-- Sorted, so that two workers of one job wait for each other instead of deadlocking.
INSERT INTO delivery_jobdomain AS d (environment_id, job_id, domain, attempted, refused, bounced, complained)
SELECT %(environment)s, %(job)s, n.domain, n.attempted, n.refused, n.bounced, n.complained
FROM unnest(%(domains)b::text[], %(attempted)b::int[], %(refused)b::int[], %(bounced)b::int[], %(complained)b::int[])
     AS n(domain, attempted, refused, bounced, complained)
ORDER BY n.domain
ON CONFLICT (environment_id, job_id, domain) DO UPDATE
SET attempted = d.attempted + excluded.attempted, refused = d.refused + excluded.refused,
    bounced = d.bounced + excluded.bounced, complained = d.complained + excluded.complained

-- name: tallies
-- The job as a whole since it was last resumed after a stop (an empty domain), then its domains with enough messages.
SELECT '' AS domain,
       b.accepted + b.delivered + b.bounced + b.rejected + b.failed + b.uncertain - coalesce((j.stop_base->>0)::int, 0),
       b.rejected + b.failed - coalesce((j.stop_base->>1)::int, 0),
       b.bounced - coalesce((j.stop_base->>2)::int, 0),
       b.complained - coalesce((j.stop_base->>3)::int, 0),
       b.uncertain - coalesce((j.stop_base->>4)::int, 0)
FROM delivery_jobcounters b JOIN delivery_sendjob j ON j.id = b.job_id
WHERE b.job_id = %(job)s AND b.environment_id = %(environment)s
UNION ALL
SELECT * FROM (
    SELECT d.domain, d.attempted, d.refused, d.bounced, d.complained, 0 FROM delivery_jobdomain d
    WHERE d.environment_id = %(environment)s AND d.job_id = %(job)s AND d.attempted >= %(least)s
      AND d.refused + d.bounced + d.complained > 0
    ORDER BY d.refused + d.bounced + d.complained DESC LIMIT 50) domains

-- name: stop_job
UPDATE delivery_sendjob
SET state = 'pausing', state_version = state_version + 1, pause_asked_at = %(now)s, next_ring_at = %(now)s,
    stop_code = %(code)s, stop_reason = %(reason)s
WHERE id = %(job)s AND environment_id = %(environment)s AND state = 'sending'

-- name: warn_of_job
-- Once for each rule and domain, whoever finds it first.
UPDATE delivery_sendjob SET warnings = warnings || %(warning)s::jsonb
WHERE id = %(job)s AND environment_id = %(environment)s AND state = 'sending'
  AND NOT warnings @> jsonb_build_array(jsonb_build_object('rule', %(rule)s::text, 'domain', %(domain)s::text))

-- name: begin_tallies_anew
-- An operator resumed what had stopped: only what happens from now on may stop it again.
UPDATE delivery_sendjob j
SET stop_code = '', stop_reason = '', warnings = '[]', stop_base = jsonb_build_array(
    b.accepted + b.delivered + b.bounced + b.rejected + b.failed + b.uncertain, b.rejected + b.failed, b.bounced,
    b.complained, b.uncertain)
FROM delivery_jobcounters b
WHERE b.job_id = j.id AND j.id = %(job)s AND j.environment_id = %(environment)s AND j.stop_code <> ''

-- name: forget_domains
DELETE FROM delivery_jobdomain WHERE environment_id = %(environment)s AND job_id = %(job)s
