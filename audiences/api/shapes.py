"""Shapes of people, imports, segments and snapshots in REST."""

from typing import Any

from rest_framework import serializers

from audiences import people, segments
from audiences.facts import Known
from audiences.models import ImportProblem, ImportRun, Person, Segment, Snapshot, SnapshotMember
from audiences.reasons import INCLUDED, REASONS
from lamba_campaigns.web.rest import StrictSerializer, etag


# --- people ---------------------------------------------------------------------------------------------------------
class PersonResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="per_…")
    userId = serializers.CharField(help_text="Lamba's user id.")
    email = serializers.CharField()
    name = serializers.CharField()
    givenName = serializers.CharField()
    familyName = serializers.CharField()
    locale = serializers.CharField()
    timeZone = serializers.CharField()
    country = serializers.CharField()
    traits = serializers.DictField()
    createdAt = serializers.DateTimeField()
    erasedAt = serializers.DateTimeField(allow_null=True)


class FactResponse(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="Such as membership, consent.email or trait.company.")
    value = serializers.JSONField(allow_null=True)
    occurredAt = serializers.DateTimeField()
    source = serializers.CharField(  # type: ignore[assignment]
        help_text="The event, import or person that told it."
    )


class PersonDetailResponse(PersonResponse):
    membership = serializers.ChoiceField(choices=["unknown", "invited", "active", "suspended", "removed"])
    roles = serializers.ListField(child=serializers.CharField())
    lifecycle = serializers.CharField()
    plan = serializers.CharField()
    lastSessionAt = serializers.DateTimeField(allow_null=True)
    sessionCount = serializers.IntegerField()
    lastContactedAt = serializers.DateTimeField(allow_null=True)
    segments = serializers.ListField(child=serializers.CharField())
    consent = serializers.DictField(child=serializers.BooleanField())
    unsubscribed = serializers.DictField(child=serializers.BooleanField())
    suppressed = serializers.DictField(child=serializers.BooleanField())
    facts = FactResponse(many=True)


class PersonPage(serializers.Serializer[Any]):
    items = PersonResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class FactPage(serializers.Serializer[Any]):
    items = FactResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


def person_json(person: Person) -> dict[str, Any]:
    return {
        "id": person.public_id,
        "userId": person.external_id,
        "email": person.email,
        "name": person.name,
        "givenName": person.given_name,
        "familyName": person.family_name,
        "locale": person.locale,
        "timeZone": person.time_zone,
        "country": person.country,
        "traits": person.traits,
        "createdAt": person.created_at,
        "erasedAt": person.erased_at,
    }


def profile_json(found: people.Profile) -> dict[str, Any]:
    return {
        **person_json(found.person),
        "membership": found.membership,
        "roles": found.roles,
        "lifecycle": found.lifecycle,
        "plan": found.plan,
        "lastSessionAt": found.last_session_at,
        "sessionCount": found.session_count,
        "lastContactedAt": found.last_contacted_at,
        "segments": [segment.slug for segment in found.segments],
        "consent": found.consent,
        "unsubscribed": found.unsubscribed,
        "suppressed": found.suppressed,
        "facts": [fact_json(known) for known in found.facts],
    }


def fact_json(known: Known) -> dict[str, Any]:
    return {
        "field": known.field,
        "value": known.value,
        "occurredAt": known.occurred_at,
        "source": known.source,
    }


# --- imports --------------------------------------------------------------------------------------------------------
class ImportResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="imp_…")
    filename = serializers.CharField()
    state = serializers.ChoiceField(choices=ImportRun.State.values)
    dryRun = serializers.BooleanField()
    skipInvalid = serializers.BooleanField()
    sizeBytes = serializers.IntegerField()
    progress = serializers.IntegerField(help_text="Percent. It moves while the state is running.")
    progressRows = serializers.IntegerField(help_text="Rows read so far, then rows written so far.")
    cancelAskedAt = serializers.DateTimeField(allow_null=True)
    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.IntegerField()
    rowsWithProblems = serializers.IntegerField()
    created = serializers.IntegerField(help_text="People that are new; after a dry run: that would be. 0 when refused.")
    updated = serializers.IntegerField(help_text="Known people of whom something changed.")
    problem = serializers.CharField(help_text="Why the whole file was refused, or empty.")
    createdBy = serializers.CharField()
    createdAt = serializers.DateTimeField()
    finishedAt = serializers.DateTimeField(allow_null=True)


class ImportPage(serializers.Serializer[Any]):
    items = ImportResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class ImportProblemResponse(serializers.Serializer[Any]):
    line = serializers.IntegerField(help_text="Of the file; the header is line 1.")
    column = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()
    value = serializers.CharField()


class ImportProblemPage(serializers.Serializer[Any]):
    items = ImportProblemResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class StartRequest(StrictSerializer):
    skipInvalid = serializers.BooleanField(
        source="skip_invalid", default=False, help_text="Import the right rows although others are wrong."
    )


def import_json(run: ImportRun) -> dict[str, Any]:
    return {
        "id": run.public_id,
        "filename": run.filename,
        "state": run.state,
        "dryRun": run.dry_run,
        "skipInvalid": run.skip_invalid,
        "sizeBytes": run.size_bytes,
        "progress": run.progress_percent,
        "progressRows": run.progress_rows,
        "cancelAskedAt": run.cancel_asked_at,
        "columns": run.columns,
        "rows": run.row_count,
        "rowsWithProblems": run.problem_count,
        "created": run.created_count,
        "updated": run.updated_count,
        "problem": run.problem,
        "createdBy": run.created_by,
        "createdAt": run.created_at,
        "finishedAt": run.finished_at,
    }


def problem_json(found: ImportProblem) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("line", "column", "code", "detail", "value")}


# --- segments -------------------------------------------------------------------------------------------------------
class SegmentRequest(StrictSerializer):
    name = serializers.CharField(max_length=segments.NAME_LENGTH_MAX)
    slug = serializers.CharField(max_length=segments.SLUG_LENGTH_MAX, required=False, help_text="Made of the name.")
    description = serializers.CharField(max_length=segments.DESCRIPTION_LENGTH_MAX, required=False, allow_blank=True)


class SegmentChanges(StrictSerializer):
    name = serializers.CharField(max_length=segments.NAME_LENGTH_MAX, required=False)
    description = serializers.CharField(max_length=segments.DESCRIPTION_LENGTH_MAX, required=False, allow_blank=True)


class SegmentMembersRequest(StrictSerializer):
    """Lamba's user ids or addresses; all of them are changed, or nobody."""

    add = serializers.ListField(child=serializers.CharField(max_length=254), required=False, max_length=1_000)
    remove = serializers.ListField(child=serializers.CharField(max_length=254), required=False, max_length=1_000)


class SegmentResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="seg_…")
    slug = serializers.CharField(help_text="What events and rules call it.")
    name = serializers.CharField()
    description = serializers.CharField()
    origin = serializers.ChoiceField(choices=Segment.Origin.values)
    people = serializers.IntegerField(help_text="Counted up to 10,000; 10,001 means more.")
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()
    etag = serializers.CharField()


class SegmentList(serializers.Serializer[Any]):
    items = SegmentResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


def segment_json(segment: Segment, counted: int) -> dict[str, Any]:
    return {
        "id": segment.public_id,
        "slug": segment.slug,
        "name": segment.name,
        "description": segment.description,
        "origin": segment.origin,
        "people": counted,
        "createdAt": segment.created_at,
        "updatedAt": segment.updated_at,
        "etag": etag(segment.state_version),
    }


# --- snapshots ------------------------------------------------------------------------------------------------------
class SnapshotRequest(StrictSerializer):
    channel = serializers.ChoiceField(choices=["email", "in_app", "sms", "webhook"], default="email")
    fields_ = serializers.ListField(child=serializers.CharField(max_length=80), default=list, max_length=100)

    def get_fields(self) -> dict[str, Any]:
        """`fields` is a name of the framework's own."""
        found = super().get_fields()
        found["fields"] = found.pop("fields_")
        return found


class SnapshotResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="snp_…")
    audience = serializers.CharField(help_text="aud_…")
    version = serializers.IntegerField()
    purpose = serializers.CharField()
    channel = serializers.CharField()
    takenAt = serializers.DateTimeField()
    planned = serializers.IntegerField(help_text="Everyone the rule matched.")
    included = serializers.IntegerField()
    excluded = serializers.DictField(child=serializers.IntegerField(), help_text="People left out, by reason.")
    ruleDigest = serializers.CharField()
    memberDigest = serializers.CharField()


class SnapshotPage(serializers.Serializer[Any]):
    items = SnapshotResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class SnapshotMemberResponse(serializers.Serializer[Any]):
    position = serializers.IntegerField(help_text="1, 2, … included; -1, -2, … left out.")
    person = serializers.CharField(help_text="per_…")
    userId = serializers.CharField()
    address = serializers.CharField()
    reason = serializers.ChoiceField(choices=list(REASONS.values()), allow_null=True)


class SnapshotMemberPage(serializers.Serializer[Any]):
    items = SnapshotMemberResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


def snapshot_json(taken: Snapshot) -> dict[str, Any]:
    return {
        "id": taken.public_id,
        "audience": taken.audience_version.audience.public_id,
        "version": taken.audience_version.number,
        "purpose": taken.purpose,
        "channel": taken.channel,
        "takenAt": taken.taken_at,
        "planned": taken.planned,
        "included": taken.included,
        "excluded": taken.excluded_counts,
        "ruleDigest": bytes(taken.rule_digest).hex(),
        "memberDigest": bytes(taken.member_digest).hex(),
    }


def member_json(row: SnapshotMember) -> dict[str, Any]:
    return {
        "position": row.position,
        "person": row.person.public_id,
        "userId": row.person.external_id,
        "address": row.address,
        "reason": None if row.reason == INCLUDED else REASONS[row.reason],
    }
