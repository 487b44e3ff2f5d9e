"""Which variant of a message somebody reads: for their locale, else its language, else the message itself."""

import re
from collections.abc import Collection
from typing import Any, Final

DEFAULT: Final = ""  # the message itself
_TAG = re.compile(r"(?P<language>[A-Za-z]{2,3})(?:[-_](?P<script>[A-Za-z]{4}))?(?:[-_](?P<region>[A-Za-z]{2}|\d{3}))?")


def normal(text: Any) -> str:
    """`de_ch` as `de-CH`, by the habits of BCP 47; '' for what is no locale."""
    match = _TAG.fullmatch(str(text or "").strip().partition(".")[0])
    if match is None:
        return DEFAULT
    script, region = match["script"], match["region"]
    return "-".join(
        part
        for part in (match["language"].lower(), script and script.title(), region and region.upper())
        if part is not None
    )


def choose(locale: Any, available: Collection[str]) -> str:
    """The variant for a locale: de-CH, then de, then DEFAULT."""
    wanted = normal(locale)
    while wanted:
        if wanted in available:
            return wanted
        wanted = wanted.rpartition("-")[0]
    return DEFAULT
