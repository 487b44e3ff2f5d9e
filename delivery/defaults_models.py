"""What holds for every campaign of an environment, and who uses which relay at this moment."""

from django.db import models
from django.db.models import Q

from projects.scoping import ScopedModel


class SendingDefaults(ScopedModel):
    """One row for an environment that changed something: see `defaults`."""

    id_prefix = "sdf"

    stop_limits = models.JSONField(default=dict)  # a document of `stop_limits`
    domain_limits = models.JSONField(default=dict)  # domain -> messages a minute
    connections = models.PositiveSmallIntegerField(null=True)  # to the relay at once; null: as many as it takes
    state_version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=200)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["environment"], name="sending_defaults_stand_once"),
            models.CheckConstraint(
                condition=Q(connections__isnull=True) | Q(connections__gte=1), name="sending_defaults_connect_once"
            ),
        ]


class RelayUse(models.Model):
    """How many connections one process may have open to one relay, for how long. Written by `slots` alone."""

    pk = models.CompositePrimaryKey("relay", "owner")
    relay = models.CharField(max_length=300)
    owner = models.CharField(max_length=120)  # a process; one that wants more than it has keeps its row too
    environment_id = models.BigIntegerField()
    connections = models.SmallIntegerField()
    until = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(connections__gte=0), name="relay_use_is_never_negative")]
