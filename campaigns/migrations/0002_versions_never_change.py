"""A published template version can't be changed or deleted, whoever asks."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION campaigns_version_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'template version % is published and never changes', OLD.public_id
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'template_version_never_changes';
END $$;
CREATE TRIGGER template_version_never_changes BEFORE UPDATE OR DELETE ON campaigns_templateversion
    FOR EACH ROW EXECUTE FUNCTION campaigns_version_never_changes();
"""
BACKWARDS = """
DROP TRIGGER template_version_never_changes ON campaigns_templateversion;
DROP FUNCTION campaigns_version_never_changes();
"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
