"""From planned to delivered in cells: by the domain of the address, or by wave; and the people behind every cell.

A wave is a run of positions, in the order in which people were contacted: as the sending rules laid them out, else a
twelfth of the people. Cells of a row always sum to its messages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any, Final, Literal

from audit.models import Break
from campaigns import books_outside, splitting
from campaigns.models import Campaign
from delivery.accounts import Account
from lamba_campaigns.lib import sql
from projects.scoping import Scope

By = Literal["domain", "wave", "variant"]
WAVES: Final = 12
DOMAINS: Final = 12  # the largest; the rest is one row
POSITION_MAX: Final = 2**31 - 1
CELLS: Final[Mapping[str, tuple[str, tuple[Account, ...]]]] = {
    "delivered": ("Delivered", (Account.DELIVERED,)),
    "accepted": ("Accepted", (Account.ACCEPTED,)),
    "deferred": ("Deferred", (Account.DEFERRED,)),
    "bounced": ("Bounced", (Account.BOUNCED,)),
    "failed": ("Failed", (Account.REJECTED, Account.FAILED)),
    "uncertain": ("Uncertain", (Account.UNCERTAIN, Account.IN_FLIGHT, Account.PENDING)),
    "left_out": ("Left out", (Account.EXCLUDED, Account.CANCELLED)),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One domain, wave or message. `where` are the parameters that open its people; empty where nothing names them."""

    label: str
    messages: int
    cells: Mapping[str, int]
    where: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Person:
    """One message behind a cell."""

    position: int
    person: str
    address: str
    account: str
    code: str
    detail: str
    at: datetime | None


def rows(*, scope: Scope, campaign: Campaign, by: By) -> list[Row]:
    """Every message of the campaign in exactly one cell. Reads the job's messages once: ask for it on demand."""
    where = {"environment": scope.environment_id, "job": campaign.job_id}
    if by == "wave":
        assert campaign.snapshot is not None and campaign.job is not None
        starts = _starts(campaign.job.pacing.get("waves", ()), campaign.snapshot.included)
        found = _grouped(sql.rows("campaigns", "waterfall_by_wave", {**where, "starts": starts}))
        lasts = [start - 1 for start in starts[1:]] + [campaign.snapshot.included]
        return [_wave(starts[number - 1], lasts[number - 1], cells) for number, cells in sorted(found.items())]
    if by == "variant":
        assert campaign.snapshot is not None
        where |= {"snapshot": campaign.snapshot.pk, "month": campaign.snapshot.taken_month}
        found = _grouped(sql.rows("campaigns", "waterfall_by_variant", where))
        return [_row(_message(campaign, name), cells, {}) for name, cells in sorted(found.items(), key=str)]
    domains = sorted(
        _grouped(sql.rows("campaigns", "waterfall_by_domain", where)).items(),
        key=lambda pair: (-sum(pair[1].values()), pair[0]),
    )
    shown = [_row(name, cells, {"domain": name}) for name, cells in domains[:DOMAINS]]
    rest = _summed([cells for _, cells in domains[DOMAINS:]])
    return [*shown, _row(f"{len(domains) - DOMAINS:,} other domains", rest, {})] if rest else shown


def people(
    *, scope: Scope, campaign: Campaign, cell: str, domain: str, first: int, last: int, after: int, size: int
) -> list[Person]:
    """Who stands in a cell, in order of position behind `after`."""
    where: dict[str, Any] = {"environment": scope.environment_id, "job": campaign.job_id, "first": first}
    where |= {
        "last": last,
        "domain": domain,
        "after": after,
        "size": size,
        "accounts": [int(each) for each in _accounts(cell)],
    }
    return _people(sql.rows("campaigns", "people_of_cell", where))


def people_of_break(
    *, scope: Scope, campaign: Campaign, difference: Break, after: int, size: int, now: datetime
) -> list[Person]:
    """Whom a difference is about, if it was found message by message."""
    where = books_outside.params(scope, campaign, now)
    where |= {"type": difference.type, "after": after, "size": size}
    return _people(sql.rows("campaigns", "people_of_break", where))


def _accounts(cell: str) -> Sequence[Account]:
    return CELLS[cell][1] if cell in CELLS else tuple(Account)


def _people(found: Sequence[tuple[Any, ...]]) -> list[Person]:
    return [
        Person(position, person or "", address, Account(account).ledger, code, detail, at)
        for position, person, address, account, code, detail, at in found
    ]


def _grouped(found: Sequence[tuple[Any, ...]]) -> dict[Any, dict[Account, int]]:
    grouped: dict[Any, dict[Account, int]] = {}
    for key, account, count in found:
        grouped.setdefault(key, {})[Account(account)] = count
    return grouped


def _summed(many: Sequence[Mapping[Account, int]]) -> dict[Account, int]:
    return {account: sum(cells.get(account, 0) for cells in many) for account in Account} if many else {}


def _message(campaign: Campaign, variant: str | None) -> str:
    """Which message of the split; people who were erased since have none."""
    named = {side["variant"]: f"{side['label']}: {side['version'].template.name}" for side in splitting.sides(campaign)}
    return named.get(variant or "", "Erased since")


def _starts(waves: Sequence[int], included: int) -> list[int]:
    """The first position of each wave; what the rules leave over is the last one."""
    sizes = list(waves) or [max(1, -(-included // WAVES))] * (WAVES - 1)
    return [first for first in (1, *(1 + end for end in accumulate(sizes))) if first <= max(included, 1)]


def _wave(first: int, last: int, cells: Mapping[Account, int]) -> Row:
    return _row(f"{first:,} to {last:,}", cells, {"first": str(first), "last": str(last)})


def _row(label: str, counts: Mapping[Account, int], where: Mapping[str, str]) -> Row:
    cells = {name: sum(counts.get(account, 0) for account in accounts) for name, (_, accounts) in CELLS.items()}
    return Row(label, sum(counts.values()), cells, where)
