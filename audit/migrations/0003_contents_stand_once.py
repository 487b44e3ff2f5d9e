"""Before and after stand in what was hashed and nowhere else; retention may empty an entry once, never its hashes."""

from django.db import migrations, models

KEPT = "id, public_id, chain_id, sequence, previous_hash, content_hash, hash, environment_id, occurred_at, outcome"

EMPTY_ONCE = """
CREATE FUNCTION audit_empty_entry_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept CONSTANT text[] := string_to_array('""" + KEPT + """', ', ');
    before CONSTANT jsonb := to_jsonb(OLD);
    after CONSTANT jsonb := to_jsonb(NEW);
BEGIN
    IF OLD.canonical IS NOT NULL AND NEW.canonical IS NULL
       AND NOT EXISTS (SELECT 1 FROM unnest(kept) AS name WHERE before -> name IS DISTINCT FROM after -> name)
       AND NOT EXISTS (SELECT 1 FROM jsonb_each(after - kept) AS left_over
                       WHERE left_over.value NOT IN ('""', 'null')) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit_auditentry is append-only: UPDATE is refused' USING ERRCODE = 'restrict_violation';
END $$;

DROP TRIGGER audit_auditentry_append_only ON audit_auditentry;
CREATE TRIGGER audit_auditentry_append_only BEFORE DELETE ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_auditentry_empty_once BEFORE UPDATE ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_empty_entry_once();
"""

BACK = """
DROP TRIGGER audit_auditentry_empty_once ON audit_auditentry;
DROP FUNCTION audit_empty_entry_once();
DROP TRIGGER audit_auditentry_append_only ON audit_auditentry;
CREATE TRIGGER audit_auditentry_append_only BEFORE UPDATE OR DELETE ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only")]

    operations = [
        migrations.RemoveField("auditentry", "after"),
        migrations.RemoveField("auditentry", "before"),
        migrations.AddField("chain", "emptied_through", models.BigIntegerField(default=0)),
        migrations.AddField("chain", "kept_from", models.BigIntegerField(default=1)),
        migrations.AlterField("auditentry", "canonical", models.BinaryField(null=True)),
        migrations.RunSQL(EMPTY_ONCE, BACK),
    ]
