"""The history of contacts: who was sent what, and who opened or clicked it; the mass table has months as partitions."""

import django.db.models.deletion
from django.db import migrations, models

CONTACTS = """
CREATE TABLE audiences_contact (
    subject_id     bigint      NOT NULL,
    person_id      bigint      NOT NULL,
    environment_id bigint      NOT NULL,
    contacted_at   timestamptz NOT NULL,
    opened_at      timestamptz,
    clicked_at     timestamptz,
    month          date        NOT NULL,
    PRIMARY KEY (month, subject_id, person_id),
    CONSTRAINT contact_clicked_was_opened CHECK (clicked_at IS NULL OR opened_at <= clicked_at)
) PARTITION BY RANGE (month)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("audiences", "0002_mass_tables"),
        ("projects", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="personfacts",
            name="last_clicked_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="personfacts",
            name="last_opened_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="ContactSubject",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("subject", models.CharField(max_length=80)),
                ("name", models.CharField(max_length=200)),
                ("month", models.DateField()),
                ("introduced_at", models.DateTimeField()),
                ("active_at", models.DateTimeField()),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="projects.environment"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["environment", "active_at"], name="contact_subject_by_activity")],
                "constraints": [
                    models.UniqueConstraint(fields=("environment", "subject"), name="contact_subject_is_known_once")
                ],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(CONTACTS, "DROP TABLE audiences_contact")],
            state_operations=[
                migrations.CreateModel(
                    name="Contact",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "month",
                                "subject_id",
                                "person_id",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("month", models.DateField()),
                        ("contacted_at", models.DateTimeField()),
                        ("opened_at", models.DateTimeField(null=True)),
                        ("clicked_at", models.DateTimeField(null=True)),
                        (
                            "environment",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="projects.environment",
                            ),
                        ),
                        (
                            "person",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="audiences.person",
                            ),
                        ),
                        (
                            "subject",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="audiences.contactsubject",
                            ),
                        ),
                    ],
                ),
            ],
        ),
    ]
