"""The base of every REST endpoint: permissions by method, scope and actor of the key, strict bodies, versions."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lamba_campaigns.lib.errors import DomainError, Stale
from projects.access import Access
from projects.roles import Permission
from projects.scoping import Actor, Scope

VERSION_DIGITS_MAX = 18  # fits into a bigint


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

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know, so that a typing error is never silently ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(set(map(str, data)) - set(self.fields))
            if unknown:
                accepted = ", ".join(sorted(name for name, field in self.fields.items() if not field.read_only))
                raise serializers.ValidationError(
                    {name: [f"Unknown field. Accepted here: {accepted}."] for name in unknown}, code="unknown_field"
                )
        return super().to_internal_value(data)


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
