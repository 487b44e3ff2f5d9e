"""What stands behind the question mark: only what the method's documentation names, once, and of its type.

The parameters of `extend_schema` are the rule, so that no endpoint can read or document one that the other does not
know. Ranges, cursors and which values go together are the endpoint's own business.
"""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.views import APIView

from lamba_campaigns.lib.errors import Invalid
from lamba_campaigns.web.pagination import bad_query

NUMBER_DIGITS_MAX = 18  # fits into a bigint
SHOWN_CHARS_MAX = 40


def require_known(view: APIView, request: Request) -> None:
    """Invalid names the first parameter that the method does not take, that comes twice, or that is of another type."""
    if not request.query_params:
        return
    known = accepted(view, "get" if request.method == "HEAD" else str(request.method).lower())
    for name, values in request.query_params.lists():
        if name not in known:
            shown = name[:SHOWN_CHARS_MAX]
            raise bad_query(shown, f"There is no parameter {shown!r} here.", _these(known))
        if len(values) > 1:
            raise bad_query(name, f"{name} comes {len(values)} times.", "Say it once.")
        if problem := _mistyped(known[name], values[0]):
            raise problem


def accepted(view: APIView, method: str) -> Mapping[str, OpenApiParameter]:
    """The query parameters that this method of the view documents, by name."""
    schema: Any = getattr(getattr(view, method, None), "kwargs", {}).get("schema")
    if schema is None:
        return {}
    documentation = schema()
    documentation.view = view
    found = documentation.get_override_parameters()
    return {each.name: each for each in found if each.location == OpenApiParameter.QUERY}


def _these(known: Mapping[str, OpenApiParameter]) -> str:
    return f"Accepted here: {', '.join(sorted(known))}." if known else "This address takes no parameters."


def _mistyped(parameter: OpenApiParameter, value: str) -> Invalid | None:
    name, shown = parameter.name, repr(value[:SHOWN_CHARS_MAX])
    if parameter.type is bool and value.lower() not in ("true", "false"):
        return bad_query(name, f"{shown} is neither true nor false.", "Use true or false.")
    if parameter.type is int and not (value.isascii() and value.isdigit() and len(value) <= NUMBER_DIGITS_MAX):
        return bad_query(name, f"{shown} is no whole number.", "Use digits alone.")
    if parameter.enum and value not in map(str, parameter.enum):
        return bad_query(name, f"{shown} is no {name}.", f"Use one of {', '.join(map(str, parameter.enum))}.")
    return None
