"""What a judgement looks at, as a function: planning it took longer than running it."""

from django.db import migrations

STANDING = """
CREATE FUNCTION limits_standing(
    p_workspace bigint, p_at timestamptz, p_pool text, p_environment bigint, p_purpose text
) RETURNS TABLE (
    plan text, overrides jsonb, anchor_day int, time_zone text, add_ons jsonb,
    versions text[], version_starts timestamptz[], version_digests text[],
    counter_keys text[], counter_starts timestamptz[], counter_used bigint[], counter_reserved bigint[],
    told_keys text[], told_starts timestamptz[], told_thresholds int[], reservation bigint
) STABLE LANGUAGE plpgsql AS $$
-- The subscription at a moment, units of add-ons and published catalogues; and, with a pool, its counters, its warnings
-- and the reservation that the purpose has.
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT subscription.plan::text, subscription.overrides, subscription.anchor_day::int, subscription.time_zone::text,
        (SELECT jsonb_object_agg(sku, units) FROM (
            SELECT sku, sum(quantity) AS units FROM limits_workspaceaddon
            WHERE workspace_id = p_workspace AND effective_from <= p_at
              AND (effective_to IS NULL OR effective_to > p_at)
            GROUP BY sku) bought),
        (SELECT array_agg(version::text ORDER BY id) FROM limits_plancatalogue),
        (SELECT array_agg(effective_from ORDER BY id) FROM limits_plancatalogue),
        (SELECT array_agg(digest::text ORDER BY id) FROM limits_plancatalogue),
        counters.keys, counters.starts, counters.used, counters.reserved,
        told.keys, told.starts, told.thresholds,
        (SELECT id FROM limits_reservation
         WHERE environment_id = p_environment AND purpose = p_purpose AND state IN ('held', 'settled'))
    FROM (SELECT 1) AS always
    LEFT JOIN LATERAL (
        SELECT plan, overrides, anchor_day, time_zone FROM limits_subscription
        WHERE workspace_id = p_workspace AND effective_from <= p_at AND status = 'active'
        ORDER BY effective_from DESC LIMIT 1
    ) subscription ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(limit_key::text) AS keys, array_agg(period_start) AS starts,
               array_agg(used) AS used, array_agg(reserved) AS reserved
        FROM limits_usagecounter
        WHERE pool = p_pool AND period_start <= p_at AND (period_end IS NULL OR period_end > p_at)
    ) counters
    CROSS JOIN LATERAL (
        SELECT array_agg(limit_key::text) AS keys, array_agg(period_start) AS starts,
               array_agg(threshold::int) AS thresholds
        FROM limits_limitwarning
        WHERE pool = p_pool AND period_start > p_at - interval '40 days' AND period_start <= p_at
    ) told;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("limits", "0003_catalogue_and_holds")]

    operations = [migrations.RunSQL(STANDING, "DROP FUNCTION limits_standing;")]
