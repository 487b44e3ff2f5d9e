"""What a campaign leaves out of its audience is frozen with the snapshot; the draw of hold-outs has one formula."""

from django.db import migrations, models

# The first seven bytes of a SHA-256 as a number below 10,000; audiences.exclusions.draw is the same in Python.
DRAW = """
CREATE FUNCTION audiences_draw(salt text, person_id bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (substr(sha256(convert_to(salt || ':' || person_id, 'UTF8')), 1, 7)::bigint % 10000)::integer
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("audiences", "0003_contacts"),
    ]

    operations = [
        migrations.AddField(
            model_name="snapshot",
            name="exclusions",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="snapshot",
            name="nested",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="snapshot",
            name="salt",
            field=models.CharField(default="", max_length=80),
        ),
        migrations.RunSQL(DRAW, "DROP FUNCTION audiences_draw(text, bigint)"),
    ]
