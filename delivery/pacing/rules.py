"""What was decided about the pace of a campaign, frozen with its job: one document, checked once, read everywhere."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time
from functools import lru_cache
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from delivery import stop_limits
from lamba_campaigns.lib.errors import FieldProblem, Invalid

Past = Literal["next_window", "skip", "send_now"]
PAST: Final[Mapping[Past, str]] = {
    "next_window": "Send in the next window",
    "skip": "Leave the person out, with the reason",
    "send_now": "Send at once",
}
ZONES: Final = ("environment", "recipient")
EVERY_DAY: Final = (1, 2, 3, 4, 5, 6, 7)
WAVES_MAX: Final = 31
WAVE_MAX: Final = 100_000_000
DOMAINS_MAX: Final = 50  # of one document; a job has those of its campaign and of its environment
DOMAIN_RATE_MAX: Final = 1_000_000
WHOLE_DAY: Final = {"opens": "00:00", "closes": "00:00"}  # how it is said that days have no hours
OPEN_MINUTES_MIN: Final = 60  # of an open day: less is a mistake
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+")
_KEYS: Final = frozenset({"zone", "timeZone", "window", "quietHours", "past", "waves", "domainLimits", "stopLimits"})


@dataclass(frozen=True, slots=True)
class Span:
    """From one time on the wall to another, over midnight where the end is not later."""

    start: time
    end: time

    @property
    def minutes(self) -> int:
        return (_minute(self.end) - _minute(self.start)) % 1440 or 1440


@dataclass(frozen=True, slots=True)
class Rules:
    """`time_zone` is the clock of waves, of windows unless `local`, and of people who have no zone of their own."""

    time_zone: str
    local: bool = False
    window: Span | None = None
    days: tuple[int, ...] = EVERY_DAY  # ISO weekdays on which the window opens
    quiet: Span | None = None
    past: Past = "next_window"
    waves: tuple[int, ...] = ()  # at most so many people on each sending day; no limit after the last
    domains: tuple[tuple[str, int], ...] = ()  # domain -> messages a minute
    stops: tuple[tuple[str, float, float], ...] = ()  # stop rule -> percent at which it warns and stops

    @property
    def clocked(self) -> bool:
        """Whether it matters what time it is somewhere."""
        return self.window is not None or self.quiet is not None or self.days != EVERY_DAY

    @property
    def by_person(self) -> bool:
        """Whether people of one micro-batch can have different turns."""
        return (self.clocked and self.local) or bool(self.domains)

    @property
    def paced(self) -> bool:
        """Whether anybody may have to wait for a turn."""
        return self.clocked or bool(self.waves or self.domains)

    @property
    def limits(self) -> dict[str, int]:
        return dict(self.domains)

    @property
    def stop_limits(self) -> dict[str, dict[str, float]]:
        """A document of `stop_limits`."""
        return {name: {"warn": warn, "stop": stop} for name, warn, stop in self.stops}


def read(document: Mapping[str, Any], *, time_zone: str) -> Rules:
    """The rules of a document; `time_zone` unless it names another. Invalid names every wrong place."""
    reader = _Reader(document)
    rules = reader.rules(time_zone)
    if reader.problems:
        raise Invalid(
            "The sending rules can't be used as they are.",
            next_step="Correct the places named in errors.",
            problems=tuple(reader.problems),
        )
    return rules


def frozen(document: Mapping[str, Any], *, time_zone: str) -> dict[str, Any]:
    """The document that a job keeps: see `kept`."""
    return kept(read(document, time_zone=time_zone))


def kept(rules: Rules) -> dict[str, Any]:
    """What a job keeps: complete, in one spelling; {} when nobody has to wait for a turn."""
    return as_document(replace(rules, stops=())) | {"timeZone": rules.time_zone} if rules.paced else {}


def limited(rules: Rules, domains: Mapping[str, int]) -> Rules:
    """With these limits for domains that the rules themselves do not limit."""
    return replace(rules, domains=tuple(sorted({**domains, **rules.limits}.items()))) if domains else rules


def read_domains(document: Any, *, problems: list[FieldProblem], pointer: str = "#/domainLimits") -> dict[str, int]:
    """Domain -> messages a minute, in one spelling; every wrong place is added to `problems`."""
    given = document or {}
    if not isinstance(given, Mapping) or len(given) > DOMAINS_MAX:
        detail = f"Name at most {DOMAINS_MAX} domains with messages a minute."
        problems.append(FieldProblem(pointer, "shape", detail))
        return {}
    found = {str(domain).strip().lower(): rate for domain, rate in given.items()}
    for domain, rate in found.items():
        if not _DOMAIN.fullmatch(domain):
            detail = f"{domain[:80]!r} is no domain, such as gmail.com."
            problems.append(FieldProblem(pointer, "invalid", detail))
        elif not isinstance(rate, int) or isinstance(rate, bool) or not 1 <= rate <= DOMAIN_RATE_MAX:
            detail = f"Use 1 to {DOMAIN_RATE_MAX:,} messages a minute."
            problems.append(FieldProblem(f"{pointer}/{domain}", "range", detail))
    return dict(sorted(found.items()))


def as_document(rules: Rules) -> dict[str, Any]:
    """The rules as REST shows them."""
    window: dict[str, Any] | None
    window = {"opens": _said(rules.window.start), "closes": _said(rules.window.end)} if rules.window else None
    quiet = {"from": _said(rules.quiet.start), "until": _said(rules.quiet.end)} if rules.quiet else None
    if window is not None or rules.days != EVERY_DAY:
        window = (window or WHOLE_DAY) | {"days": list(rules.days)}
    return {
        "zone": "recipient" if rules.local else "environment",
        "window": window,
        "quietHours": quiet,
        "past": rules.past,
        "waves": list(rules.waves),
        "domainLimits": dict(rules.domains),
        **({"stopLimits": rules.stop_limits} if rules.stops else {}),
    }


def of_job(document: Mapping[str, Any]) -> Rules | None:
    """The rules that a job was frozen with; None for one that sends at any time, to anybody."""
    return _parsed(_hashable(document)) if document else None


def zone_named(name: str) -> ZoneInfo | None:
    """The zone, or None for a name that no clock has."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


class _Reader:
    """Collects every problem with the pointer of its place."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document, self.problems = document, list[FieldProblem]()

    def rules(self, time_zone: str) -> Rules:
        for key in sorted(set(self.document) - _KEYS):
            self._refuse(key, "unknown", f"There is no sending rule {key!r}.")
        zone = str(self.document.get("timeZone") or time_zone)
        if zone_named(zone) is None:
            self._refuse("timeZone", "unknown", "Use an IANA name such as Europe/Berlin.")
        window, days = self._window()
        rules = Rules(
            time_zone=zone,
            local=self._choice("zone", ZONES) == "recipient",
            window=window,
            days=days,
            quiet=self._span("quietHours", "from", "until"),
            past=self._choice("past", tuple(PAST)),  # type: ignore[arg-type]
            waves=self._waves(),
            domains=self._domains(),
            stops=self._stops(),
        )
        self._require_open(rules)
        return rules

    def _choice(self, key: str, allowed: Sequence[str]) -> str:
        value = self.document.get(key) or allowed[0]
        if value not in allowed:
            self._refuse(key, "unknown", f"Use one of {', '.join(allowed)}.")
        return str(value)

    def _window(self) -> tuple[Span | None, tuple[int, ...]]:
        given = self.document.get("window")
        if not given:
            return None, EVERY_DAY
        days = given.get("days") if isinstance(given, Mapping) else None
        wanted = tuple(sorted(set(days))) if isinstance(days, list | tuple) and days else EVERY_DAY
        if any(day not in EVERY_DAY for day in wanted):
            self._refuse("window/days", "range", "Days go from 1 (Monday) to 7 (Sunday).")
        found = self._span("window", "opens", "closes")
        whole = found is not None and found.start == found.end
        if found is not None and whole and (wanted == EVERY_DAY or found.start != time()):
            detail = "It closes when it opens. Leave the window out to send at any hour; with days, use 00:00 twice."
            self._refuse("window/closes", "empty", detail)
        return None if whole else found, wanted

    def _span(self, key: str, start: str, end: str) -> Span | None:
        given = self.document.get(key)
        if not given:
            return None
        if not isinstance(given, Mapping):
            self._refuse(key, "shape", f"Use {{{start}, {end}}}.")
            return None
        found = [self._clock(f"{key}/{name}", given.get(name)) for name in (start, end)]
        if found[0] is None or found[1] is None:
            return None
        if found[0] == found[1] and key == "quietHours":
            self._refuse(f"{key}/{end}", "never_open", "This is quiet all day: nobody could ever be contacted.")
        return Span(found[0], found[1])

    def _clock(self, pointer: str, value: Any) -> time | None:
        match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            self._refuse(pointer, "invalid", "Write a time such as 09:30.")
            return None
        return time(int(match[1]), int(match[2]))

    def _waves(self) -> tuple[int, ...]:
        given = self.document.get("waves") or []
        if not isinstance(given, list | tuple) or len(given) > WAVES_MAX:
            self._refuse("waves", "shape", f"List at most {WAVES_MAX} numbers of people, one for each day.")
            return ()
        for place, wave in enumerate(given):
            if not isinstance(wave, int) or isinstance(wave, bool) or not 1 <= wave <= WAVE_MAX:
                self._refuse(f"waves/{place}", "range", f"A day takes 1 to {WAVE_MAX:,} people.")
                return ()
        return tuple(given)

    def _domains(self) -> tuple[tuple[str, int], ...]:
        found = read_domains(
            self.document.get("domainLimits"), problems=self.problems, pointer="#/sendingRules/domainLimits"
        )
        return tuple(found.items()) if not self.problems else ()

    def _stops(self) -> tuple[tuple[str, float, float], ...]:
        given = self.document.get("stopLimits")
        found = stop_limits.read(given, pointer="#/sendingRules/stopLimits", problems=self.problems)
        return tuple((name, values["warn"], values["stop"]) for name, values in found.items())

    def _require_open(self, rules: Rules) -> None:
        if self.problems or not rules.quiet:
            return
        if _open_minutes(rules) < OPEN_MINUTES_MIN:
            detail = f"Window and quiet hours leave less than {OPEN_MINUTES_MIN} minutes a day to send in."
            self._refuse("quietHours", "never_open", detail)

    def _refuse(self, pointer: str, code: str, detail: str) -> None:
        self.problems.append(FieldProblem(f"#/sendingRules/{pointer}", code, detail))


def _open_minutes(rules: Rules) -> int:
    def within(span: Span | None, minute: int) -> bool:
        return span is None or (minute - _minute(span.start)) % 1440 < span.minutes

    assert rules.quiet is not None
    return sum(within(rules.window, minute) and not within(rules.quiet, minute) for minute in range(1440))


def _minute(value: time) -> int:
    return value.hour * 60 + value.minute


def _said(value: time) -> str:
    return value.strftime("%H:%M")


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ("{}", *sorted((key, _hashable(inner)) for key, inner in value.items()))
    return ("[]", *map(_hashable, value)) if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return {key: _plain(inner) for key, inner in value[1:]} if value[0] == "{}" else [_plain(x) for x in value[1:]]
    return value


@lru_cache(maxsize=256)
def _parsed(document: Any) -> Rules:
    plain = _plain(document)
    rules = read(plain | {"domainLimits": {}}, time_zone=plain["timeZone"])
    return limited(rules, plain["domainLimits"])
