"""Evidence can be added, never changed: triggers refuse UPDATE, DELETE and TRUNCATE.

TRUNCATE is let through in databases whose name starts with `test_`, because Django's test runner empties tables so.
Who owns the tables can drop a trigger; that is what the hash chain and the signed checkpoints are for.
"""

from django.db import migrations

FROZEN = ("audit_auditentry", "audit_checkpoint", "audit_ledgerentry", "audit_ledgerseal")

FUNCTIONS = r"""
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_database() LIKE 'test\_%' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

-- a batch may be sealed once; nothing else of it may change
CREATE FUNCTION audit_seal_batch_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.seal_id IS NULL AND NEW.seal_id IS NOT NULL
       AND (to_jsonb(OLD) - 'seal_id') = (to_jsonb(NEW) - 'seal_id') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit_ledgerbatch is append-only: UPDATE is refused' USING ERRCODE = 'restrict_violation';
END $$;
"""


def _triggers(table: str, row_events: str) -> str:
    return f"""
CREATE TRIGGER {table}_append_only BEFORE {row_events} ON {table}
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
"""


BATCH = """
CREATE TRIGGER audit_ledgerbatch_seal_once BEFORE UPDATE ON audit_ledgerbatch
    FOR EACH ROW EXECUTE FUNCTION audit_seal_batch_once();
"""
NAMES = [(table, "append_only") for table in (*FROZEN, "audit_ledgerbatch")]
NAMES += [(table, "no_truncate") for table in (*FROZEN, "audit_ledgerbatch")]
NAMES += [("audit_ledgerbatch", "seal_once")]


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunSQL(
            FUNCTIONS
            + "".join(_triggers(table, "UPDATE OR DELETE") for table in FROZEN)
            + _triggers("audit_ledgerbatch", "DELETE")
            + BATCH,
            "".join(f"DROP TRIGGER {table}_{name} ON {table};" for table, name in NAMES)
            + "DROP FUNCTION audit_refuse_change(); DROP FUNCTION audit_seal_batch_once();",
        )
    ]
