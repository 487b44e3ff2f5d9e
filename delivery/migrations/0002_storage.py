"""What Django can't say: room for HOT updates of messages, and evidence that nobody rewrites."""

from django.db import migrations

STORAGE = """
ALTER TABLE delivery_message SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE delivery_jobcounters SET (fillfactor = 20, autovacuum_vacuum_threshold = 50);
ALTER TABLE delivery_jobminute SET (fillfactor = 70);
ALTER TABLE delivery_chunk SET (fillfactor = 60)
"""

APPEND_ONLY = """
CREATE FUNCTION delivery_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Add a new row.';
END
$$;
CREATE TRIGGER receipt_is_frozen BEFORE UPDATE ON delivery_receipt
    FOR EACH STATEMENT EXECUTE FUNCTION delivery_refuse_change();
CREATE TRIGGER consent_evidence_is_frozen BEFORE UPDATE ON delivery_consentevent
    FOR EACH STATEMENT EXECUTE FUNCTION delivery_refuse_change()
"""

REWRITABLE = """
DROP TRIGGER consent_evidence_is_frozen ON delivery_consentevent;
DROP TRIGGER receipt_is_frozen ON delivery_receipt;
DROP FUNCTION delivery_refuse_change()
"""


class Migration(migrations.Migration):
    dependencies = [("delivery", "0001_initial")]
    operations = [
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
        migrations.RunSQL(APPEND_ONLY, REWRITABLE),
    ]
