"""Published catalogues, forgiven messages, and the one statement that takes a hold."""

from django.db import migrations, models

RESERVE = """
CREATE FUNCTION limits_reserve(
    p_environment bigint, p_pool text, p_purpose text, p_public_id text, p_at timestamptz, p_expires timestamptz,
    p_plan text, p_asks jsonb, p_overage bigint, p_grace bigint, p_amount numeric, p_actor_id text,
    p_actor_label text, p_now timestamptz, p_line_ids text[], p_keys text[], p_starts timestamptz[],
    p_ends timestamptz[], p_quantities bigint[], p_ceilings bigint[], p_judged bigint[]
) RETURNS bigint LANGUAGE plpgsql AS $$
-- The id of the new reservation; 0 when the purpose holds already; NULL when a counter would pass its ceiling.
-- Counters come last and in the order of their keys: the lock is short, and nobody deadlocks.
DECLARE
    held bigint;
BEGIN
    INSERT INTO limits_reservation (
        public_id, environment_id, pool, purpose, state, at, expires_at, plan, asks, overage_quantity,
        grace_quantity, overage_amount, actor_id, actor_label, created_at)
    VALUES (
        p_public_id, p_environment, p_pool, p_purpose, 'held', p_at, p_expires, p_plan, p_asks, p_overage,
        p_grace, p_amount, p_actor_id, p_actor_label, p_now)
    ON CONFLICT (environment_id, purpose) WHERE state IN ('held', 'settled') DO NOTHING
    RETURNING id INTO held;
    IF held IS NULL THEN
        RETURN 0;
    END IF;
    INSERT INTO limits_reservationline (
        public_id, environment_id, reservation_id, limit_key, period_start, period_end, quantity, held, used)
    SELECT line_id, p_environment, held, limit_key, period_start, period_end, quantity, quantity, 0
    FROM unnest(p_line_ids, p_keys, p_starts, p_ends, p_quantities)
         AS line (line_id, limit_key, period_start, period_end, quantity);
    INSERT INTO limits_usageentry (
        environment_id, pool, limit_key, period_start, delta_used, delta_reserved, reason, reservation_id, event_key,
        occurred_at)
    SELECT p_environment, p_pool, limit_key, period_start, 0, quantity, 'reserve', held, 'reserve', p_now
    FROM unnest(p_keys, p_starts, p_quantities) AS line (limit_key, period_start, quantity);
    FOR i IN 1 .. cardinality(p_keys) LOOP
        FOR attempt IN 1 .. 2 LOOP
            UPDATE limits_usagecounter SET reserved = reserved + p_quantities[i]
            WHERE pool = p_pool AND limit_key = p_keys[i] AND period_start = p_starts[i]
              AND (p_quantities[i] = 0 OR p_ceilings[i] IS NULL
                   OR used + reserved + p_quantities[i] <= p_ceilings[i])
              AND (p_judged[i] IS NULL OR used + reserved = p_judged[i]);
            EXIT WHEN FOUND;
            IF attempt = 2 THEN
                RAISE EXCEPTION 'over' USING ERRCODE = 'LM001';
            END IF;
            INSERT INTO limits_usagecounter (pool, limit_key, period_start, period_end, used, reserved)
            VALUES (p_pool, p_keys[i], p_starts[i], p_ends[i], 0, 0)
            ON CONFLICT (pool, limit_key, period_start) DO NOTHING;
        END LOOP;
    END LOOP;
    RETURN held;
EXCEPTION WHEN SQLSTATE 'LM001' THEN
    RETURN NULL;
END $$;
"""
FREEZE = """
CREATE TRIGGER limits_plancatalogue_append_only BEFORE UPDATE OR DELETE ON limits_plancatalogue
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("limits", "0002_append_only")]

    operations = [
        migrations.CreateModel(
            name="PlanCatalogue",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.CharField(max_length=40, unique=True)),
                ("effective_from", models.DateTimeField(unique=True)),
                ("source", models.TextField()),
                ("content", models.JSONField()),
                ("digest", models.CharField(max_length=64)),
                ("published_by", models.CharField(max_length=200)),
                ("published_at", models.DateTimeField()),
            ],
        ),
        migrations.AddField("reservation", "grace_quantity", models.BigIntegerField(default=0)),
        migrations.RunSQL(FREEZE, "DROP TRIGGER limits_plancatalogue_append_only ON limits_plancatalogue;"),
        migrations.RunSQL(RESERVE, "DROP FUNCTION limits_reserve;"),
    ]
