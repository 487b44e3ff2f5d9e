"""Shapes of keys and members in REST."""

from datetime import timedelta
from typing import Any, get_args

from rest_framework import serializers

from lamba_campaigns.web.rest import StrictSerializer
from projects.keys import KEY_LIFE_DEFAULT, state_of
from projects.members import member_id
from projects.models import ApiKey, Member
from projects.roles import PERMISSIONS, Role


class KeyRequest(StrictSerializer):
    name = serializers.CharField(max_length=120)
    permissions = serializers.ListField(child=serializers.ChoiceField(choices=list(PERMISSIONS)), min_length=1)
    expiresInDays = serializers.IntegerField(
        source="days", min_value=1, max_value=366, default=KEY_LIFE_DEFAULT // timedelta(days=1)
    )


class KeyResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="key_…")
    name = serializers.CharField()
    keyId = serializers.CharField(help_text="The public part of the key, as it stands in its text.")
    state = serializers.ChoiceField(choices=["live", "expired", "revoked"])
    permissions = serializers.ListField(child=serializers.CharField())
    createdBy = serializers.CharField()
    createdAt = serializers.DateTimeField()
    expiresAt = serializers.DateTimeField()
    lastUsedAt = serializers.DateTimeField(allow_null=True)
    revokedAt = serializers.DateTimeField(allow_null=True)


class NewKeyResponse(KeyResponse):
    key = serializers.CharField(help_text="The key itself. It is shown in this one answer and stored nowhere.")


class KeyPage(serializers.Serializer[Any]):
    items = KeyResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class MemberRequest(StrictSerializer):
    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=list(get_args(Role)))


class RoleRequest(StrictSerializer):
    role = serializers.ChoiceField(choices=list(get_args(Role)))


class MemberResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="usr_…")
    name = serializers.CharField()
    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=list(get_args(Role)))
    createdAt = serializers.DateTimeField()


class MemberPage(serializers.Serializer[Any]):
    items = MemberResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


def key_json(key: ApiKey, *, now: Any) -> dict[str, Any]:
    found: dict[str, Any] = KeyResponse(
        {
            "id": key.public_id,
            "name": key.name,
            "keyId": key.key_id,
            "state": state_of(key, now=now),
            "permissions": key.permissions,
            "createdBy": key.created_by,
            "createdAt": key.created_at,
            "expiresAt": key.expires_at,
            "lastUsedAt": key.last_used_at,
            "revokedAt": key.revoked_at,
        }
    ).data
    return dict(found)


def member_json(member: Member) -> dict[str, Any]:
    found: dict[str, Any] = MemberResponse(
        {
            "id": member_id(member),
            "name": member.user.get_full_name(),
            "email": member.user.email,
            "role": member.role,
            "createdAt": member.created_at,
        }
    ).data
    return dict(found)
