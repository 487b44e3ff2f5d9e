"""Shapes of audiences, their versions, live counts and answers in REST."""

from typing import Any

from rest_framework import serializers

from audiences.channels import CHANNEL_BITS
from audiences.definitions import DESCRIPTION_LENGTH_MAX, NAME_LENGTH_MAX
from audiences.models import Audience, AudienceVersion
from audiences.preview import Preview
from audiences.rules import fields
from audiences.rules.ast import CONDITIONS_MAX, DEPTH_MAX
from audiences.rules.operators import operators_of
from audiences.rules.parse import DAYS_MAX, TEXT_LENGTH_MAX, VALUES_MAX
from audiences.rules.vocabulary import Vocabulary
from audiences.uses import Use
from lamba_campaigns.web.rest import StrictSerializer, etag

_RULE = (
    'A tree of {"all" | "any" | "none": [ … ]} groups and {"field", "op", "value"} conditions, for example '
    '{"all": [{"field": "country", "op": "is", "value": "DE"}]}. GET /api/v1/audiences/fields lists what is accepted.'
)


class AudienceRequest(StrictSerializer):
    name = serializers.CharField(max_length=NAME_LENGTH_MAX)
    description = serializers.CharField(max_length=DESCRIPTION_LENGTH_MAX, required=False, allow_blank=True)
    rule = serializers.JSONField(help_text=_RULE)


class AudienceChanges(StrictSerializer):
    """What changes; what is left out stays."""

    name = serializers.CharField(max_length=NAME_LENGTH_MAX, required=False)
    description = serializers.CharField(max_length=DESCRIPTION_LENGTH_MAX, required=False, allow_blank=True)
    rule = serializers.JSONField(required=False, help_text=_RULE)
    confirmed = serializers.BooleanField(
        required=False, help_text="Yes, also where a scheduled campaign will take the new rule."
    )


class PreviewRequest(StrictSerializer):
    rule = serializers.JSONField(help_text=_RULE)
    channel = serializers.ChoiceField(choices=list(CHANNEL_BITS), default="email")


class AudienceResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="aud_…")
    name = serializers.CharField()
    description = serializers.CharField()
    version = serializers.IntegerField()
    rule = serializers.JSONField()
    sentence = serializers.CharField(help_text="The rule in plain words.")
    ruleDigest = serializers.CharField(help_text="SHA-256 over the canonical rule, hex.")
    createdBy = serializers.CharField()
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()
    etag = serializers.CharField()


class AudiencePage(serializers.Serializer[Any]):
    items = AudienceResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class AudienceVersionResponse(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    rule = serializers.JSONField()
    sentence = serializers.CharField()
    ruleDigest = serializers.CharField()
    createdBy = serializers.CharField()
    createdAt = serializers.DateTimeField()


class AudienceVersionPage(serializers.Serializer[Any]):
    items = AudienceVersionResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class AudienceUseResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="cmp_…")
    name = serializers.CharField()
    state = serializers.CharField()
    scheduled = serializers.BooleanField(
        help_text="It will take the audience as it is then; a change must be confirmed."
    )


class AudienceUsePage(serializers.Serializer[Any]):
    items = AudienceUseResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class PreviewPersonResponse(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    detail = serializers.CharField(help_text="What let this person in.")


class PreviewResponse(serializers.Serializer[Any]):
    exact = serializers.BooleanField(help_text="False: estimated from a sample, because counting takes too long.")
    people = serializers.IntegerField(help_text="Everybody in this environment.")
    matched = serializers.IntegerField()
    excluded = serializers.DictField(
        child=serializers.IntegerField(), help_text="Reason to people, in order of precedence."
    )
    contactable = serializers.IntegerField()
    nodes = serializers.DictField(
        child=serializers.IntegerField(), help_text="Pointer into the rule to the people whom that node alone matches."
    )
    sentence = serializers.CharField()
    milliseconds = serializers.IntegerField()
    sample = PreviewPersonResponse(many=True, help_text="Empty without the permission people.read.")


class ExplainedPersonResponse(serializers.Serializer[Any]):
    id = serializers.CharField()
    externalId = serializers.CharField()


class ExplanationResponse(serializers.Serializer[Any]):
    person = ExplainedPersonResponse()
    audienceVersion = serializers.IntegerField()
    evaluatedAt = serializers.DateTimeField()
    channel = serializers.CharField()
    matches = serializers.BooleanField()
    included = serializers.BooleanField()
    reason = serializers.CharField(allow_null=True, help_text="What keeps a matching person out.")
    verdict = serializers.CharField()
    nearest = serializers.JSONField(help_text="The least that would have let the person in: sentence and conditions.")
    snapshotId = serializers.CharField(allow_null=True, help_text="The snapshot whose moment the answer is of.")
    position = serializers.IntegerField(allow_null=True, help_text="In that snapshot; below 0 for the excluded.")
    tree = serializers.JSONField(
        help_text="Nested nodes: pointer, holds, words; a group has mode and children, a condition field, seen, source "
        "and occurredAt, and inside with the rules of the audiences that it names."
    )


class ChoiceResponse(serializers.Serializer[Any]):
    value = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the name that REST uses


class OperatorResponse(serializers.Serializer[Any]):
    op = serializers.CharField()
    words = serializers.CharField()
    takes = serializers.CharField(help_text="nothing, one, many, range, days, day, days_range, times or campaign_days.")


class FieldResponse(serializers.Serializer[Any]):
    field = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the name that REST uses
    group = serializers.CharField()
    type = serializers.CharField()
    operators = OperatorResponse(many=True)
    choices = ChoiceResponse(many=True, help_text="Accepted values; empty where any value of the type is.")


class FieldCatalogueResponse(serializers.Serializer[Any]):
    items = FieldResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)
    traits = serializers.JSONField(help_text="A trait is asked for as trait.<name> with one of these types.")
    limits = serializers.JSONField()


def audience_json(audience: Audience) -> dict[str, Any]:
    """An audience that `definitions.with_latest` loaded."""
    return {
        "id": audience.public_id,
        "name": audience.name,
        "description": audience.description,
        "version": audience.version,
        "rule": audience.latest_rule,  # type: ignore[attr-defined]
        "sentence": audience.latest_sentence,  # type: ignore[attr-defined]
        "ruleDigest": bytes(audience.latest_digest).hex(),  # type: ignore[attr-defined]
        "createdBy": audience.created_by,
        "createdAt": audience.created_at,
        "updatedAt": audience.updated_at,
        "etag": etag(audience.state_version),
    }


def use_json(use: Use) -> dict[str, Any]:
    return {"id": use.public_id, "name": use.name, "state": use.state, "scheduled": use.scheduled}


def version_json(version: AudienceVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "rule": version.rule,
        "sentence": version.sentence,
        "ruleDigest": bytes(version.digest).hex(),
        "createdBy": version.created_by,
        "createdAt": version.created_at,
    }


def preview_json(found: Preview, sentence: str) -> dict[str, Any]:
    return {
        "exact": found.exact,
        "people": found.people,
        "matched": found.matched,
        "excluded": dict(found.excluded),
        "contactable": found.contactable,
        "nodes": {f"#{path}": number for path, number in found.per_node.items()},
        "sentence": sentence,
        "milliseconds": found.milliseconds,
        "sample": [{"id": each.public_id, "name": each.name, "detail": each.detail} for each in found.sample],
    }


def catalogue_json(vocabulary: Vocabulary) -> dict[str, Any]:
    return {
        "items": [_field_json(each, vocabulary) for each in vocabulary.fields()],
        "nextCursor": None,
        "traits": {
            "field": f"{fields.TRAIT_PREFIX}<name>",
            "types": {name: _operators_json(name) for name in fields.TRAIT_TYPES},
        },
        "limits": {
            "depth": DEPTH_MAX,
            "conditions": CONDITIONS_MAX,
            "values": VALUES_MAX,
            "days": DAYS_MAX,
            "textLength": TEXT_LENGTH_MAX,
        },
    }


def _field_json(field: fields.Field, vocabulary: Vocabulary) -> dict[str, Any]:
    choices = vocabulary.choices(field)
    return {
        "field": field.key,
        "label": field.label,
        "group": field.group,
        "type": field.type,
        "operators": _operators_json(field.type),
        "choices": [{"value": value, "label": label} for value, label in choices.items()],
    }


def _operators_json(field_type: Any) -> list[dict[str, str]]:
    return [{"op": each.key, "words": each.words, "takes": each.takes} for each in operators_of(field_type)]
