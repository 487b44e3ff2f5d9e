"""Lists by keyset: `{"items": […], "nextCursor": "…" | null}`, as Lamba's own lists."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import F, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from lamba_campaigns.lib.errors import FieldProblem, Invalid

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 200
PAGE_SIZE_DIGITS_MAX = 3
CURSOR_LENGTH_MAX = 64
KEY_MAX = 2**63 - 1  # of a bigint column


def page(
    queryset: QuerySet[Any],
    request: Request,
    render: Callable[[Any], Mapping[str, Any]],
    *,
    key: str = "id",
    newest_first: bool = True,
) -> Response:
    """One page by keyset on the unique, monotone number column `key`: `{"items": […], "nextCursor": "…" | null}`."""
    size = page_size(request)
    after = cursor_number(request)
    if after is not None:
        queryset = queryset.filter(**{f"{key}__{'lt' if newest_first else 'gt'}": after})
    found = list(queryset.order_by(F(key).desc() if newest_first else F(key).asc())[: size + 1])
    more = len(found) > size
    last = getattr(found[size - 1], key) if more else None
    return Response({"items": [render(row) for row in found[:size]], "nextCursor": encode_cursor(last)})


def encode_cursor(value: int | None) -> str | None:
    return None if value is None else base64.urlsafe_b64encode(str(value).encode()).decode().rstrip("=")


def cursor_number(request: Request) -> int | None:
    """The key that the cursor of this request stands for; None on a first page."""
    cursor = request.query_params.get("cursor")
    if not cursor:
        return None
    try:
        return _cursor_value(cursor)
    except ValueError:
        raise bad_query("cursor", "This cursor is not one of ours.", "Use nextCursor of the page before.") from None


def _cursor_value(cursor: str) -> int:
    """ValueError unless `encode_cursor` can have made it."""
    if len(cursor) > CURSOR_LENGTH_MAX:
        raise ValueError("too long")
    number = int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii"))
    if not 0 <= number <= KEY_MAX:
        raise ValueError("no key")
    return number


def page_size(request: Request) -> int:
    """Rows a page, from `?limit=`."""
    text = request.query_params.get("limit", str(PAGE_SIZE_DEFAULT))
    readable = text.isascii() and text.isdigit() and len(text) <= PAGE_SIZE_DIGITS_MAX
    if not readable or not 1 <= int(text) <= PAGE_SIZE_MAX:
        raise bad_query("limit", f"{text[:20]!r} is not a page size.", f"Use 1 to {PAGE_SIZE_MAX}.")
    return int(text)


def bad_query(name: str, detail: str, next_step: str) -> Invalid:
    """The refusal of one query parameter."""
    return Invalid(detail, next_step=next_step, problems=(FieldProblem(f"?{name}", "invalid", detail),))
