"""The operators of each type, as data. A negative operator is the exact opposite of the one it negates.

So an unknown value never matches a positive operator and always matches a negative one: a person without a country
is not "Germany". Add "is known" beside a negative operator to leave unknown people out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FieldType = Literal["choice", "set", "text", "number", "moment", "date", "boolean", "campaigns", "audiences", "events"]
Takes = Literal["nothing", "one", "many", "range", "days", "day", "days_range", "times", "campaign_days"]


@dataclass(frozen=True, slots=True)
class Operator:
    """`takes` is the shape of the value; `words` stand between the field and the value in a sentence."""

    key: str
    words: str
    takes: Takes
    negates: str = ""

    @property
    def positive(self) -> str:
        return self.negates or self.key


_EXISTS = (Operator("exists", "is known", "nothing"), Operator("not_exists", "is not known", "nothing", "exists"))
_MEMBERSHIP = (
    Operator("is", "is", "one"),
    Operator("is_not", "is not", "one", "is"),
    Operator("is_one_of", "is one of", "many"),
    Operator("is_not_one_of", "is none of", "many", "is_one_of"),
)
_TIME = (
    Operator("within_last", "within the last", "days"),
    Operator("not_within_last", "not within the last", "days", "within_last"),
    Operator("more_than_ago", "more than", "days"),
    Operator("within_next", "within the next", "days"),
    Operator("before", "before", "day"),
    Operator("after", "after", "day"),
    Operator("on", "on", "day"),
    Operator("between", "between", "days_range"),
)
OPERATORS: Mapping[FieldType, tuple[Operator, ...]] = {
    "choice": (*_MEMBERSHIP, *_EXISTS),
    "set": (*_MEMBERSHIP, *_EXISTS),
    "text": (
        *_MEMBERSHIP,
        Operator("contains", "contains", "one"),
        Operator("not_contains", "does not contain", "one", "contains"),
        Operator("starts_with", "starts with", "one"),
        *_EXISTS,
    ),
    "number": (
        Operator("at_least", "at least", "one"),
        Operator("at_most", "at most", "one"),
        Operator("is", "is", "one"),
        Operator("is_not", "is not", "one", "is"),
        Operator("between", "between", "range"),
        *_EXISTS,
    ),
    "moment": (*_TIME, *_EXISTS),
    "date": (*_TIME, *_EXISTS),
    "campaigns": (
        *_MEMBERSHIP,
        Operator("within_last", "within the last", "campaign_days"),
        Operator("not_within_last", "not within the last", "campaign_days", "within_last"),
    ),
    "audiences": _MEMBERSHIP,
    "events": (
        Operator("at_least_times", "at least", "times"),
        Operator("fewer_times", "fewer than", "times", "at_least_times"),
    ),
    "boolean": (Operator("is", "is", "one"), Operator("is_not", "is not", "one", "is"), *_EXISTS),
}


def operators_of(field_type: FieldType) -> tuple[Operator, ...]:
    return OPERATORS[field_type]


def operator(field_type: FieldType, key: str) -> Operator | None:
    """The operator, or None where this type has no such one."""
    return next((each for each in OPERATORS[field_type] if each.key == key), None)
