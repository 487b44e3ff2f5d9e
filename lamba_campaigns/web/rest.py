"""The base of every REST endpoint: permissions by method, scope and actor of the key, strict bodies, versions."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lamba_campaigns.lib.errors import DomainError, Stale
from lamba_campaigns.web import queries
from projects.access import Access
from projects.roles import Permission
from projects.scoping import Actor, Scope

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
VERSION_DIGITS_MAX = 18  # fits into a bigint
SHOWN_CHARS_MAX = 40


class PreconditionRequired(DomainError):
    code = "PRECONDITION_REQUIRED"
    status = 428
    title = "Say which version you are changing"


class RestView(APIView):
    """Base of every endpoint: `permissions` by method, and the scope and actor of the key that called."""

    permissions: ClassVar[Mapping[str, Permission]] = {}

    @property
    def access(self) -> Access:
        granted: Access = self.request.auth  # type: ignore[assignment]
        return granted

    @property
    def scope(self) -> Scope:
        return self.access.scope

    @property
    def actor(self) -> Actor:
        return self.access.actor

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        queries.require_known(self, request)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """The methods of this address, in the header Allow."""
        return Response(status=204)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        if request.method == "HEAD" and response.streaming:
            response.streaming_content = ()  # type: ignore[attr-defined]  # nobody reads it
        return response


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know, so that a typing error is never silently ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(set(map(str, data)) - set(self.fields))
            if unknown:
                said = f"Unknown field. {self._accepted()}"
                raise serializers.ValidationError({name: [said] for name in unknown}, code="unknown_field")
            wrong = {
                name: found for name, field in self.fields.items() if (found := _other_type(field, data.get(name)))
            }
            if wrong:
                raise serializers.ValidationError(wrong)
        return super().to_internal_value(data)

    def _accepted(self) -> str:
        names = sorted(name for name, field in self.fields.items() if not field.read_only)
        return f"Accepted here: {', '.join(names)}." if names else "No fields are accepted here."


class MomentField(serializers.DateTimeField):
    """A moment. One without its offset is refused: whose clock it was read from can't be known."""

    default_error_messages = {"naive": "Say the offset too, as in 2027-07-01T09:00:00+02:00 or 2027-07-01T07:00:00Z."}

    def enforce_timezone(self, value: datetime) -> datetime:
        if timezone.is_naive(value):
            self.fail("naive")
        return super().enforce_timezone(value)


def _other_type(field: Any, value: Any) -> Any:
    """What is wrong with the JSON type of a value, or of those in a list, in the shape that DRF reports; empty if
    nothing is. DRF takes a number for text, text for a number and half of everything for true or false.
    """
    if isinstance(field, serializers.ListField) and isinstance(value, list):
        return {place: found for place, item in enumerate(value) if (found := _other_type(field.child, item))}
    if isinstance(field, serializers.DictField) and isinstance(value, Mapping):
        return {name: found for name, item in value.items() if (found := _other_type(field.child, item))}
    if value is None:
        return []
    if isinstance(field, serializers.CharField):
        return _not_text(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(field, serializers.IntegerField | serializers.FloatField | serializers.DecimalField) and not number:
        return _said("Give a number, without quotes", value, "not_number")
    if isinstance(field, serializers.BooleanField) and not isinstance(value, bool):
        return _said("Give true or false, without quotes", value, "not_boolean")
    return []


def _not_text(value: Any) -> list[ErrorDetail]:
    """DRF lets every control character but NUL through."""
    if isinstance(value, bool | int | float):
        return _said("Give text, in quotes", value, "not_text")
    if isinstance(value, str) and (found := _CONTROL.search(value)):
        said = f"Character {found.start() + 1} is the control character U+{ord(found[0]):04X}; leave it out."
        return [ErrorDetail(said, code="control_character")]
    return []


def _said(wanted: str, value: Any, code: str) -> list[ErrorDetail]:
    return [ErrorDetail(f"{wanted}; this is {json.dumps(value)[:SHOWN_CHARS_MAX]}.", code=code)]


def validated(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body checked by `serializer`. Invalid names every wrong place by JSON pointer."""
    checked = serializer(data=request.data)
    checked.is_valid(raise_exception=True)
    found: dict[str, Any] = checked.validated_data
    return found


def expected_version(request: Request) -> int:
    """The version that the caller read, from `If-Match: "7"`. 428 without the header, 412 if it can't be ours."""
    given = request.headers.get("If-Match")
    if given is None:
        raise PreconditionRequired(
            "A change needs the header If-Match.", next_step="Read the resource, then send its etag as If-Match."
        )
    text = given.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdigit() and len(text) <= VERSION_DIGITS_MAX):
        raise Stale(f"If-Match is {given[:40]!r}, which is no version of this resource.", next_step="Read it again.")
    return int(text)


def etag(version: int) -> str:
    return f'"{version}"'
