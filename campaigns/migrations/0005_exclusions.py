"""Whom a campaign leaves out of its audience: cap, hold-out and lists."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0004_sending_rules")]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="exclusions",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
