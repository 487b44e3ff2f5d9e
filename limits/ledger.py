"""Reservations as a list that can be paged and exported: who held what, when, and what became of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from audit import chain, timeline
from audit.export import safe
from lamba_campaigns.lib import sql
from limits.keys import DIMENSIONS
from limits.models import Reservation
from projects.scoping import Actor, Scope

PAGE_SIZE: Final = 50
CHUNK_ROWS: Final = 500
HEADER: Final = (
    "id",
    "purpose",
    "state",
    "limit",
    "asked",
    "used",
    "held",
    "period_start",
    "period_end",
    "overage_messages",
    "overage_estimate",
    "forgiven_messages",
    "plan",
    "by",
    "reserved_at",
    "ended_at",
)


@dataclass(frozen=True, slots=True)
class Hold:
    """One reservation as the page shows it."""

    reservation: Reservation
    name: str
    kind: str
    url: str
    lines: tuple[tuple[str, int, int, int], ...]  # label, asked, used, held


def newest(*, scope: Scope, before: int | None, size: int) -> list[Hold]:
    """Reservations that count in a period: launches. Those of gauges alone say no more than the gauge."""
    found = launches(scope)
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found.prefetch_related("lines").order_by("-pk")[:size])
    subjects = {row.pk: _subject(row.purpose) for row in rows}
    names = timeline.names(scope, (subject for _, subject in subjects.values()))
    return [_hold(scope, row, *subjects[row.pk], names) for row in rows]


def launches(scope: Scope) -> QuerySet[Reservation]:
    found: QuerySet[Reservation] = Reservation.objects.within(scope).exclude(expires_at=None)
    return found


def as_json(row: Reservation) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "purpose": row.purpose,
        "state": row.state,
        "plan": row.plan,
        "at": row.at,
        "lines": [
            {
                "limit": line.limit_key,
                "asked": line.quantity,
                "used": line.used,
                "held": line.held,
                "periodStart": line.period_start if line.period_end else None,
                "periodEnd": line.period_end,
            }
            for line in _lines(row)
        ],
        "overage": {"messages": row.overage_quantity, "estimate": str(row.overage_amount)},
        "forgivenMessages": row.grace_quantity,
        "by": row.actor_label,
        "reservedAt": row.created_at,
        "endedAt": row.ended_at,
    }


def csv_lines(*, scope: Scope, actor: Actor, now: datetime) -> Iterator[str]:
    """A line for each limit of each reservation. The export stands in the trail before the first line is read."""
    with sql.durable():
        chain.record(
            scope=scope,
            actor=actor,
            action="export.made",
            subject=chain.Subject("reservations", scope.environment, "Reservations"),
            now=now,
            after={"what": "reservations", "format": "csv"},
        )
    return _csv(scope)


def _csv(scope: Scope) -> Iterator[str]:
    yield _line(HEADER)
    rows = Reservation.objects.within(scope).prefetch_related("lines").order_by("pk")
    for row in rows.iterator(chunk_size=CHUNK_ROWS):
        for line in _lines(row):
            yield _line(
                (
                    *(row.public_id, row.purpose, row.state, line.limit_key, line.quantity, line.used, line.held),
                    *(line.period_start if line.period_end else "", line.period_end or ""),
                    *(row.overage_quantity, row.overage_amount, row.grace_quantity, row.plan, row.actor_label),
                    *(row.created_at, row.ended_at or ""),
                )
            )


def _line(cells: Sequence[Any]) -> str:
    said = (each.isoformat() if isinstance(each, datetime) else safe(str(each)) for each in cells)
    return (
        ",".join('"' + cell.replace('"', '""') + '"' if set(cell) & set('",\r\n') else cell for cell in said) + "\r\n"
    )


def _lines(row: Reservation) -> list[Any]:
    return sorted(row.lines.all(), key=lambda line: list(DIMENSIONS).index(line.limit_key))


def _subject(purpose: str) -> tuple[str, str]:
    """ "launch:cmp_1:2" is a launch of cmp_1."""
    kind, _, rest = purpose.partition(":")
    return kind, rest.partition(":")[0]


def _hold(scope: Scope, row: Reservation, kind: str, subject: str, names: dict[str, str]) -> Hold:
    page = {"launch": "campaign", "active": "campaign", "template": "template"}.get(kind, "")
    return Hold(
        reservation=row,
        name=names.get(subject, row.purpose),
        kind=kind.capitalize(),
        url=timeline.url_of(scope, page, subject),
        lines=tuple((DIMENSIONS[each.limit_key].label, each.quantity, each.used, each.held) for each in _lines(row)),
    )
