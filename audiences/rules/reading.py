"""One person's facts as rules see them: the same columns that the compiled SQL reads, as Python values."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import connection
from psycopg import sql

from audiences.rules.explain import Facts
from audiences.rules.fields import CATALOGUE, SEGMENT_WORDS, WORD_BITS, Field
from audiences.rules.vocabulary import Vocabulary
from projects.scoping import Scope

_FIELDS = tuple(field for field in CATALOGUE.values() if field.storage != "words")
_COLUMNS = sql.SQL(", ").join([sql.SQL(text) for text in (*(field.sql for field in _FIELDS), *SEGMENT_WORDS)])
_STATEMENT = sql.SQL(
    "SELECT p.id, p.traits::text, {columns} FROM audiences_person p"
    " LEFT JOIN audiences_personfacts f ON f.environment_id = p.environment_id AND f.person_id = p.id"
    " WHERE p.environment_id = %(environment_id)s AND p.id = ANY(%(ids)s)"
).format(columns=_COLUMNS)


def facts_of(*, scope: Scope, person_ids: Sequence[int], vocabulary: Vocabulary) -> dict[int, Facts]:
    """Person id -> facts for `explain.evaluate`. People of other environments are left out. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT, {"environment_id": scope.environment_id, "ids": list(person_ids)})
        return {row[0]: _facts(row[1], row[2:], vocabulary) for row in cursor.fetchall()}


def _facts(traits: str, values: Sequence[Any], vocabulary: Vocabulary) -> Facts:
    found: dict[str, Any] = {"traits": json.loads(traits, parse_float=Decimal)}
    for field, value in zip(_FIELDS, values, strict=False):
        found[field.key] = _named(field, value, vocabulary)
    segment = CATALOGUE["segment"]
    words = values[len(_FIELDS) :]
    number = sum((word or 0) << (WORD_BITS * place) for place, word in enumerate(words))
    found["segment"] = _names_of_bits(segment, number, vocabulary)
    return found


def _named(field: Field, value: Any, vocabulary: Vocabulary) -> Any:
    if field.storage == "number":
        return next((name for name, number in vocabulary.numbers_of(field).items() if number == value), None)
    if field.storage == "mask":
        return _names_of_bits(field, value or 0, vocabulary)
    return value


def _names_of_bits(field: Field, mask: int, vocabulary: Vocabulary) -> frozenset[str]:
    return frozenset(name for name, bit in vocabulary.numbers_of(field).items() if mask >> bit & 1)
