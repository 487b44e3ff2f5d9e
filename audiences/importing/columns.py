"""The header of an import: which column tells what. An unknown or repeated name refuses the file at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from audiences.channels import CHANNEL_BITS
from audiences.models.people import EMAIL_LENGTH_MAX, EXTERNAL_ID_LENGTH_MAX, NAME_LENGTH_MAX
from audiences.places import LOCALE_LENGTH_MAX

COLUMNS_MAX = 100
WORD_LENGTH_MAX = 60  # of a segment, role, stage or plan
TRAIT_LENGTH_MAX = 500
TRAIT_NAME_LENGTH_MAX = 63

Kind = Literal["text", "email", "locale", "time_zone", "country", "membership", "boolean", "number", "word", "words"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the file: `field` is the fact that it tells, `index` its place among the cells."""

    index: int
    title: str  # as written in the file
    field: str  # external_id, email, …, consent.email, segments, trait.x
    kind: Kind
    length_max: int


@dataclass(frozen=True, slots=True)
class HeaderProblem:
    """Why the header can't be used."""

    title: str
    code: str
    detail: str


_KNOWN: Final[Mapping[str, tuple[Kind, int]]] = {
    "external_id": ("text", EXTERNAL_ID_LENGTH_MAX),
    "email": ("email", EMAIL_LENGTH_MAX),
    "name": ("text", NAME_LENGTH_MAX),
    "given_name": ("text", NAME_LENGTH_MAX),
    "family_name": ("text", NAME_LENGTH_MAX),
    "locale": ("locale", LOCALE_LENGTH_MAX),
    "time_zone": ("time_zone", 64),
    "country": ("country", 60),
    "membership": ("membership", 20),
    "roles": ("words", 1_000),
    "lifecycle": ("word", WORD_LENGTH_MAX),
    "plan": ("word", WORD_LENGTH_MAX),
    "segments": ("words", 2_000),
    **{f"consent.{channel}": ("boolean", 10) for channel in CHANNEL_BITS},
}
_ALIASES: Final[Mapping[str, str]] = {
    "user_id": "external_id",
    "userid": "external_id",
    "e-mail": "email",
    "email_address": "email",
    "givenname": "given_name",
    "first_name": "given_name",
    "familyname": "family_name",
    "last_name": "family_name",
    "timezone": "time_zone",
    "role": "roles",
    "segment": "segments",
    "consent": "consent.email",
    "stage": "lifecycle",
}
ACCEPTED: Final = (*_KNOWN, "trait.<name>", "trait.<name>:number", "trait.<name>:boolean")
_TRAIT = re.compile(r"trait\.(?P<name>[^.:\x00-\x1f]{1,63})(:(?P<type>text|number|boolean))?", re.IGNORECASE)


def read_header(titles: Sequence[str]) -> tuple[list[Column], list[HeaderProblem]]:
    """The columns of a file, or everything that is wrong with its first line."""
    if len(titles) > COLUMNS_MAX:
        return [], [
            HeaderProblem("", "too_many_columns", f"A file may have {COLUMNS_MAX} columns; this has {len(titles)}.")
        ]
    columns: list[Column] = []
    problems: list[HeaderProblem] = []
    for index, title in enumerate(titles):
        column = _column(index, title.strip())
        if column is None:
            detail = f"{title[:60]!r} is no column we know. Known are {', '.join(ACCEPTED)}."
            problems.append(HeaderProblem(title[:90], "unknown_column", detail))
        elif any(column.field == other.field for other in columns):
            problems.append(HeaderProblem(title[:90], "repeated_column", f"Two columns tell {column.field}."))
        else:
            columns.append(column)
    if not any(column.field == "external_id" for column in columns) and not problems:
        problems.append(
            HeaderProblem("external_id", "missing_column", "The column external_id is missing: it says who is meant.")
        )
    return columns, problems


def _column(index: int, title: str) -> Column | None:
    trait = _TRAIT.fullmatch(title)
    if trait:
        kind: Kind = {"number": "number", "boolean": "boolean"}.get((trait["type"] or "").lower(), "text")  # type: ignore[assignment]
        return Column(index, title, f"trait.{trait['name'].strip()}", kind, TRAIT_LENGTH_MAX)
    name = re.sub(r"[\s]+", "_", title.lower())
    name = _ALIASES.get(name, name)
    name = _ALIASES.get(name.replace("_", ""), name) if name not in _KNOWN else name
    if name not in _KNOWN:
        return None
    kind, length_max = _KNOWN[name]
    return Column(index, title, name, kind, length_max)
