-- name: overview_counts
-- What is there at all, for the checklist, and what waits for a person: five looks into indexes in one round trip.
SELECT EXISTS (SELECT FROM campaigns_campaign WHERE environment_id = %(environment)s AND job_id IS NOT NULL),
       EXISTS (SELECT FROM audiences_audience WHERE environment_id = %(environment)s AND deleted_at IS NULL),
       EXISTS (SELECT FROM campaigns_template WHERE environment_id = %(environment)s AND latest_number > 0),
       (SELECT count(*) FROM audit_break WHERE environment_id = %(environment)s AND state = 'open'),
       (SELECT count(*) FROM (SELECT FROM webhooks_inboundevent
                              WHERE environment_id = %(environment)s AND state = 'parked' LIMIT %(parked)s) parked);
