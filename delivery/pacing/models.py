"""What the rules about pace have used up, so that a restart neither sends early nor exceeds a limit."""

from django.db import models
from django.db.models import Q

from projects.scoping import ScopedForeignKey, ScopedQuerySet


class PaceDay(models.Model):
    """How many people one job began to contact on one day of its own time zone. Only jobs with waves have rows."""

    pk = models.CompositePrimaryKey("job_id", "day")
    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+")
    job = ScopedForeignKey("delivery.SendJob", related_name="+")
    day = models.DateField()
    taken = models.IntegerField(default=0)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(taken__gte=0), name="pace_day_is_never_negative")]


class DomainPace(models.Model):
    """One mailbox domain, for all jobs of an environment that limit it: see `quota.Bucket`."""

    pk = models.CompositePrimaryKey("environment_id", "domain")
    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+")
    domain = models.CharField(max_length=253)
    paced_until = models.DateTimeField()
    queued_until = models.DateTimeField()

    objects = ScopedQuerySet.as_manager()
