"""When a campaign sends: a wall-clock time in a named zone, which must exist, exist once, and lie ahead."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from campaigns.models import Campaign
from lamba_campaigns.lib.errors import FieldProblem, Invalid

AHEAD_MAX = timedelta(days=366)


class NoSuchTime(Invalid):
    """Clocks skip this time: they go forward over it."""

    code = "TIME_DOES_NOT_EXIST"


class TwoSuchTimes(Invalid):
    """Clocks show this time twice: they go back over it."""

    code = "TIME_IS_AMBIGUOUS"


class TimePassed(Invalid):
    code = "TIME_PASSED"


def moment_of(*, wall: datetime, zone_name: str, fold: int | None = None) -> datetime:
    """The UTC moment of a naive wall-clock time. NoSuchTime in a DST gap; TwoSuchTimes in an overlap without `fold`."""
    assert wall.tzinfo is None, "a wall-clock time carries its zone beside it"
    zone = require_zone(zone_name)
    early, late = (wall.replace(tzinfo=zone, fold=each).astimezone(UTC) for each in (0, 1))
    if early.astimezone(zone).replace(tzinfo=None) != wall:
        after = late.astimezone(zone).replace(tzinfo=None)
        raise _invalid(
            NoSuchTime,
            "#/at",
            "gap",
            f"{wall:%d %b %Y, %H:%M} does not exist in {zone_name}: clocks go forward over it. "
            f"Choose {max(after, early.astimezone(zone).replace(tzinfo=None)):%H:%M} or later.",
        )
    if early != late and fold is None:
        raise _invalid(
            TwoSuchTimes,
            "#/at",
            "overlap",
            f"{wall:%d %b %Y, %H:%M} comes twice in {zone_name}: at {early:%H:%M} and at {late:%H:%M} UTC. "
            "Say which one: the first or the second.",
        )
    return late if fold == 1 else early


def require_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _invalid(Invalid, "#/timeZone", "unknown", "Use an IANA name such as Europe/Berlin.") from None


def require_proposed(campaign: Campaign) -> datetime:
    """The time that the draft proposes."""
    if campaign.scheduled_at is None:
        raise Invalid("This draft proposes no time.", next_step="Edit the draft and say when it sends.")
    return campaign.scheduled_at


def require_ahead(*, at: datetime, now: datetime) -> None:
    """TimePassed for a moment that is over; Invalid for one more than a year ahead."""
    if at <= now:
        raise _invalid(TimePassed, "#/at", "past", f"{at:%d %b %Y, %H:%M} UTC is over. Choose a time ahead.")
    if at - now > AHEAD_MAX:
        raise _invalid(Invalid, "#/at", "far", f"A campaign can be scheduled {AHEAD_MAX.days} days ahead at most.")


def _invalid(kind: type[Invalid], pointer: str, code: str, detail: str) -> Invalid:
    return kind(detail, next_step="Choose another time.", problems=(FieldProblem(pointer, code, detail),))
