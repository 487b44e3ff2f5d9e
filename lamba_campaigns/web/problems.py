"""Every refusal, ours or the framework's, leaves REST as one RFC 9457 problem document."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from lamba_campaigns.lib.errors import DomainError, FieldProblem, Invalid, NotFound
from lamba_campaigns.web.requests import trace_id


class BodyTooLarge(DomainError):
    code = "BODY_TOO_LARGE"
    status = 413
    title = "The body is too large"


class MethodNotAllowed(DomainError):
    """Something is at this address, but not with this method."""

    code = "METHOD_NOT_ALLOWED"
    status = 405
    title = "This address does not take this method"


class NotAcceptable(DomainError):
    """`Accept` asks for a form that this address does not have."""

    code = "NOT_ACCEPTABLE"
    status = 406
    title = "There is no answer of the type asked for"


class UnsupportedMediaType(DomainError):
    """The body is of a type that this address does not read."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415
    title = "The body is of a type that is not read here"


_USUAL_STEPS = {  # where the refusal itself says no more than what is wrong
    403: "Ask an owner or admin for a role or a key that may do this.",
    404: "Check the id, and that your key is of the same environment.",
    409: "Read it again, look at its state, and decide again.",
    412: "Read it again, and send its etag as If-Match.",
    413: "Send less at a time.",
    422: "Correct what the detail or errors name, and send it again.",
}
_TYPE_STEP = "Send Content-Type: application/json; an import takes text/csv."


def problem(error: DomainError, *, trace: str) -> dict[str, Any]:
    """The RFC 9457 document of a refusal, with Lamba's `errorCode` and `traceId`."""
    document: dict[str, Any] = {
        "type": f"{settings.PUBLIC_URL}/problems/{error.code.lower().replace('_', '-')}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "errorCode": error.code,
        "traceId": trace,
    }
    if next_step := error.next_step or _USUAL_STEPS.get(error.status, ""):
        document["nextStep"] = next_step
    if error.problems:
        document["errors"] = [
            {"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in error.problems
        ]
    return document | error.extra


def problem_response(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler: every refusal, ours or the framework's, leaves as application/problem+json."""
    refusal = _as_domain_error(error)
    if refusal is None:
        return None
    request = context["request"]
    response = Response(
        problem(refusal, trace=trace_id(request._request)), refusal.status, content_type="application/problem+json"
    )
    if refusal.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if "retryAfter" in refusal.extra:
        response["Retry-After"] = str(refusal.extra["retryAfter"])
    if getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
    return response


def _as_domain_error(error: Exception) -> DomainError | None:
    if isinstance(error, DomainError):
        return error
    if isinstance(error, exceptions.ValidationError):
        return Invalid(
            "Some values are not valid; nothing was changed.",
            next_step="Correct the places named in errors and send it again.",
            problems=tuple(_problems("#", error.get_full_details())),
        )
    if isinstance(error, Http404):
        return NotFound("There is nothing at this address.", next_step="Check the address and the method.")
    if isinstance(error, RequestDataTooBig):
        return BodyTooLarge(
            f"A body may have {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes.", next_step="Send less at a time."
        )
    if isinstance(error, exceptions.MethodNotAllowed):
        return MethodNotAllowed(str(error.detail), next_step="Use one of the methods in the header Allow.")
    if isinstance(error, exceptions.NotAcceptable):
        return NotAcceptable(str(error.detail), next_step="Send Accept: application/json, or leave it out.")
    if isinstance(error, exceptions.UnsupportedMediaType):
        return UnsupportedMediaType(str(error.detail), next_step=_TYPE_STEP)
    if isinstance(error, exceptions.APIException):
        refusal = DomainError(str(error.detail))
        refusal.status, refusal.code = error.status_code, error.default_code.upper()  # type: ignore[misc]
        refusal.title = str(error.default_detail).rstrip(".")  # type: ignore[misc]
        return refusal
    return None


def _problems(pointer: str, details: Any) -> list[FieldProblem]:
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return [FieldProblem(pointer, str(details["code"]), str(details["message"]))]
    if isinstance(details, dict):
        return [
            each
            for name, below in details.items()
            for each in _problems(pointer if name == "non_field_errors" else f"{pointer}/{_escape(str(name))}", below)
        ]
    if isinstance(details, list):
        plain = all(isinstance(below, dict) and set(below) == {"message", "code"} for below in details)
        return [
            each
            for index, below in enumerate(details)
            for each in _problems(pointer if plain else f"{pointer}/{index}", below)
        ]
    return []


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True, slots=True)
class Remedy:
    """One way out of a refusal: a button when it has an address, else a sentence."""

    label: str
    url: str = ""
    primary: bool = False


def remedies(error: DomainError) -> list[Remedy]:
    """The remedies of a problem document as buttons; the first one with an address is the primary one."""
    found = [_remedy(each) for each in error.extra.get("remedies", ())]
    first = next((i for i, each in enumerate(found) if each.url), None)
    return [replace(each, primary=i == first) for i, each in enumerate(found)]


def _remedy(given: Mapping[str, Any]) -> Remedy:
    if given.get("label"):
        return Remedy(str(given["label"]), str(given.get("url") or ""))
    words = {
        "upgrade": lambda r: f"Upgrade to {str(r.get('plan_name') or r.get('plan', 'a larger plan')).capitalize()}",
        "add_on": lambda r: f"Add {r.get('name') or r.get('sku', 'volume')}",
        "accept_overage": lambda r: f"Accept {int(r.get('quantity', 0)):,} over the limit",
        "reduce_audience": lambda r: f"Reduce the audience to {int(r.get('max', 0)):,}",
        "wait": lambda r: f"Wait until {r.get('until', 'the next period')}",
    }
    kind = str(given.get("kind", ""))
    label = words[kind](given) if kind in words else kind.replace("_", " ").capitalize()
    return Remedy(label, str(given.get("url") or ""))
