"""What became of a job's messages, by mailbox domain: where the stop rules look."""

from django.db import models


class JobDomain(models.Model):
    """One domain of one job. `attempted` counts final outcomes of ours; retries count once they end. Mass table."""

    pk = models.CompositePrimaryKey("environment_id", "job_id", "domain")
    environment_id = models.BigIntegerField()
    job_id = models.BigIntegerField()
    domain = models.TextField()
    attempted = models.IntegerField(default=0)
    refused = models.IntegerField(default=0)  # rejected or failed
    bounced = models.IntegerField(default=0)
    complained = models.IntegerField(default=0)
