"""What counts as a time zone, a locale and a country: one judgement for files, for events and for Lamba's members.

Names come from the tables of `tzdata`, which is pinned, so that every machine gives the same answer.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Final

LOCALE_PATTERN: Final = "[A-Za-z]{2,3}(?:[_-][A-Za-z0-9]{1,8}){0,3}"
_LOCALE: Final = re.compile(LOCALE_PATTERN)
_COUNTRY: Final = re.compile("[A-Za-z]{2}")
LOCALE_LENGTH_MAX: Final = 35


@cache
def time_zones() -> frozenset[str]:
    """Every IANA name, links included."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


@cache
def countries() -> Mapping[str, str]:
    """ISO 3166 code -> English name, from the table that ships with the time zones. Sorted by name."""
    lines = resources.files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return dict(sorted(((code, name) for code, name in pairs), key=lambda pair: pair[1]))


def is_time_zone(text: str) -> bool:
    return text in time_zones()


def is_locale(text: str) -> bool:
    """A language, with script, region or variant: de, de-AT, zh_Hant_TW."""
    return _LOCALE.fullmatch(text) is not None


def is_country(text: str) -> bool:
    return _COUNTRY.fullmatch(text) is not None


# Field -> (its judge, why a value is kept out, what is accepted).
JUDGES: Final[Mapping[str, tuple[Callable[[str], bool], str, str]]] = {
    "time_zone": (is_time_zone, "unknown_time_zone", "Use an IANA name, such as Europe/Berlin."),
    "locale": (is_locale, "invalid_locale", "Use a language tag, such as de or de-AT."),
    "country": (is_country, "invalid_country", "Use the two letters of ISO 3166, such as DE."),
}
