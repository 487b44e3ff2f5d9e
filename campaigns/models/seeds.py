"""Seed lists: mailboxes of one's own, on many providers, that get tests of a template."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower

from projects.scoping import ScopedModel

SEEDS_MAX = 20


class SeedList(ScopedModel):
    """Addresses are kept as they were typed. They belong to no person, so nothing that is sent to them is counted."""

    id_prefix = "sed"

    name = models.CharField(max_length=80)
    addresses = ArrayField(models.CharField(max_length=254), size=SEEDS_MAX)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(models.F("environment"), Lower("name"), name="seed_list_name_is_unique"),
        ]
