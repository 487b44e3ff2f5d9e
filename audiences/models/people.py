"""Who people are. What rules ask about them stands in `audiences_personfacts`.

A mass table: no foreign-key trigger. `ensure_people` and the import are the only writers of new rows, and both take
the environment from their Scope.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from lamba_campaigns.lib.ids import ID_LENGTH_MAX
from projects.scoping import ScopedModel

EXTERNAL_ID_LENGTH_MAX = 200
EMAIL_LENGTH_MAX = 254
NAME_LENGTH_MAX = 200


class Person(ScopedModel):
    """One Lamba User in one environment. Every column but `external_id` is the projection of facts."""

    id_prefix = "per"

    environment = models.ForeignKey(
        "projects.Environment", models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    public_id = models.CharField(max_length=ID_LENGTH_MAX, editable=False)
    external_id = models.CharField(max_length=EXTERNAL_ID_LENGTH_MAX)  # Lamba's user id
    email = models.CharField(max_length=EMAIL_LENGTH_MAX, default="", db_default="")
    name = models.CharField(max_length=NAME_LENGTH_MAX, default="", db_default="")
    given_name = models.CharField(max_length=NAME_LENGTH_MAX, default="", db_default="")
    family_name = models.CharField(max_length=NAME_LENGTH_MAX, default="", db_default="")
    locale = models.CharField(max_length=35, default="", db_default="")  # BCP 47
    time_zone = models.CharField(max_length=64, default="", db_default="")  # IANA
    country = models.CharField(max_length=2, default="", db_default="")  # ISO 3166-1 alpha-2
    traits = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    created_at = models.DateTimeField()
    erased_at = models.DateTimeField(null=True)  # when the person was deleted; nothing personal is left

    class Meta(ScopedModel.Meta):
        constraints = [
            # Also the order of the people list, newest first.
            *ScopedModel.Meta.constraints,
            # A page or call names one person. (`unique=True` would add a second index for LIKE.)
            models.UniqueConstraint(fields=["public_id"], name="person_public_id_is_unique"),
            # ensure_people and the import find a person by Lamba's id.
            models.UniqueConstraint(fields=["environment", "external_id"], name="person_is_known_once"),
            models.CheckConstraint(condition=~Q(external_id=""), name="person_has_external_id"),
        ]
        indexes = [
            # people.find by address; a suppression by address finds its people.
            models.Index("environment", Lower("email"), name="audiences_person_by_address"),
        ]

    @property
    def label(self) -> str:
        """What a person is called on a page."""
        return (
            self.name or " ".join(filter(None, (self.given_name, self.family_name))) or self.email or self.external_id
        )
