-- name: move_counters
-- Additions only, so that writers never read first; the checks refuse a negative or leaking balance.
UPDATE delivery_jobcounters SET
    excluded = excluded + %(excluded)s, pending = pending + %(pending)s, in_flight = in_flight + %(in_flight)s,
    uncertain = uncertain + %(uncertain)s, accepted = accepted + %(accepted)s, deferred = deferred + %(deferred)s,
    delivered = delivered + %(delivered)s, bounced = bounced + %(bounced)s, rejected = rejected + %(rejected)s,
    failed = failed + %(failed)s, cancelled = cancelled + %(cancelled)s, retrying = retrying + %(retrying)s,
    complained = complained + %(complained)s, unsubscribed = unsubscribed + %(unsubscribed)s,
    opened = opened + %(opened)s, clicked = clicked + %(clicked)s,
    excluded_reasons = CASE WHEN %(late)s::jsonb = '{}' THEN excluded_reasons ELSE excluded_reasons || (
        SELECT jsonb_object_agg(key, coalesce((excluded_reasons ->> key)::int, 0) + value::int)
        FROM jsonb_each_text(%(late)s::jsonb)) END,
    last_outcome_at = greatest(last_outcome_at, %(now)s)
WHERE job_id = %(job)s

-- name: add_minute
INSERT INTO delivery_jobminute (environment_id, job_id, minute, accepted, deferred, rejected, failed, uncertain, excluded)
VALUES (%(environment)s, %(job)s, %(minute)s, %(accepted)s, %(deferred)s, %(rejected)s, %(failed)s, %(uncertain)s,
        %(excluded)s)
ON CONFLICT (environment_id, job_id, minute) DO UPDATE SET
    accepted = delivery_jobminute.accepted + excluded.accepted,
    deferred = delivery_jobminute.deferred + excluded.deferred,
    rejected = delivery_jobminute.rejected + excluded.rejected,
    failed = delivery_jobminute.failed + excluded.failed,
    uncertain = delivery_jobminute.uncertain + excluded.uncertain,
    excluded = delivery_jobminute.excluded + excluded.excluded
