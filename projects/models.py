"""Workspace > Project > Environment, who belongs to a workspace, and the keys that open one environment."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from lamba_campaigns.lib.ids import new_id
from projects.roles import ROLE_CHOICES
from projects.scoping import Actor, Scope, ScopedForeignKey, ScopedModel, ScopedQuerySet

__all__ = [
    "Actor",
    "ApiKey",
    "Environment",
    "IdempotencyRecord",
    "Member",
    "Preference",
    "Project",
    "Scope",
    "ScopedForeignKey",
    "ScopedModel",
    "ScopedQuerySet",
    "Workspace",
]


def _workspace_id() -> str:
    return new_id("wrk")


def _project_id() -> str:
    return new_id("prj")


class Workspace(models.Model):
    """The billing boundary: it owns the plan. `public_id` is Lamba's workspace id where Lamba knows it."""

    public_id = models.CharField(max_length=64, unique=True, default=_workspace_id)
    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)


class Project(models.Model):
    """The product that a workspace runs. `time_zone` is the one its schedules and rules are read in."""

    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="projects")
    public_id = models.CharField(max_length=64, unique=True, default=_project_id)
    slug = models.SlugField(max_length=40)
    name = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=64, default="UTC")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "slug"], name="project_slug_is_unique_in_workspace")
        ]


class Environment(models.Model):
    """Sandbox or production of one project. Every scoped row carries its id."""

    class Name(models.TextChoices):
        SANDBOX = "sandbox"
        PRODUCTION = "production"

    project = models.ForeignKey(Project, models.PROTECT, related_name="environments")
    name = models.CharField(max_length=10, choices=Name)
    sender_name = models.CharField(max_length=120, default="")  # the From of its mail
    sender_address = models.EmailField(default="")
    sandbox_allow_list = ArrayField(models.EmailField(), default=list, blank=True)  # who a sandbox may really mail
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="environment_is_unique_in_project"),
            models.CheckConstraint(condition=Q(name__in=["sandbox", "production"]), name="environment_name_is_known"),
        ]


class Member(models.Model):
    """A person of the console in one workspace, with one role."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=ROLE_CHOICES)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "user"], name="member_is_unique_in_workspace")]


class Preference(models.Model):
    """What one person chose for the console, on every device. No row means the defaults."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="preference")
    keyboard = models.BooleanField(default=True)  # single-key shortcuts
    time_zone = models.CharField(max_length=64, default="", blank=True)  # empty: the project's


class ApiKey(ScopedModel):
    """A REST key of one environment. Only `HMAC(pepper, secret)` is stored; the key itself is shown once."""

    id_prefix = "key"

    name = models.CharField(max_length=120)
    key_id = models.CharField(max_length=12, unique=True)  # the public part; looked up on every request
    secret_hash = models.BinaryField(max_length=32)
    permissions = ArrayField(models.CharField(max_length=40))
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta(ScopedModel.Meta):
        pass


class IdempotencyRecord(ScopedModel):
    """The first answer to a request that carried an Idempotency-Key, kept for 24 hours."""

    id_prefix = "idm"

    caller = models.CharField(max_length=64)  # the public id of the key or user
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)  # SHA-256 over method, path and body
    status = models.PositiveSmallIntegerField(null=True)  # null while the first request runs
    body = models.BinaryField(null=True)
    content_type = models.CharField(max_length=80, default="")
    locked_until = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)  # read by the sweep that forgets old answers

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["environment", "caller", "key"], name="idempotency_key_is_used_once"),
        ]
