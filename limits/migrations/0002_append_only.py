"""Usage entries can be added, never changed: counters are proved against them."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("limits", "0001_initial"), ("audit", "0002_append_only")]

    operations = [
        migrations.RunSQL(
            """
            CREATE TRIGGER limits_usageentry_append_only BEFORE UPDATE OR DELETE ON limits_usageentry
                FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
            CREATE TRIGGER limits_usageentry_no_truncate BEFORE TRUNCATE ON limits_usageentry
                FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
            """,
            """
            DROP TRIGGER limits_usageentry_append_only ON limits_usageentry;
            DROP TRIGGER limits_usageentry_no_truncate ON limits_usageentry;
            """,
        )
    ]
