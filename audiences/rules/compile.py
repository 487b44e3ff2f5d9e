"""A rule becomes one SQL predicate with parameters. Nothing but the catalogue's own SQL and placeholders gets in.

Every condition is two-valued: `(…) IS TRUE`, so an unknown value is false for a positive operator and, through its
exact opposite, true for a negative one. NULL never reaches AND, OR or NOT. `explain` says the same in Python.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, LiteralString

from psycopg import sql

from audiences.rules import fields
from audiences.rules.ast import Condition, Group, Node, Rule, child_path
from audiences.rules.clock import Clock
from audiences.rules.fields import WORD_BITS
from audiences.rules.nesting import NESTED_MAX, rule_of
from audiences.rules.operators import operator
from audiences.rules.vocabulary import Vocabulary
from audiences.rules.vocabulary import load as vocabulary_of
from projects.scoping import Scope

_FALSE, _TRUE = sql.SQL("FALSE"), sql.SQL("TRUE")
_DATE_PATTERN = "^[12][0-9]{3}-[0-9]{2}-[0-9]{2}$"
_MOMENT_PATTERN = (
    "^[12][0-9]{3}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?"
    "(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])$"
)


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL over the aliases p (audiences_person) and f (audiences_personfacts, may be a LEFT JOIN), with its parameters.

    `predicate` is true for members. `truth` is a bigint whose bit n is condition n. `params` serve both.
    """

    predicate: sql.Composable
    truth: sql.Composable
    params: Mapping[str, Any]


def compile_rule(
    rule: Rule, *, zone_name: str, clock: Clock, vocabulary: Vocabulary, environment_id: int, prefix: str = "rule"
) -> Compiled:
    """The rule at `clock`. `prefix` starts the names of the parameters, so that two rules fit in one statement."""
    binder = _Binder(prefix)
    compiler = _Compiler(binder, clock, zone_name, vocabulary, environment_id)
    parts = {path: compiler.condition(condition) for path, condition in rule.conditions()}
    bits = [
        sql.SQL("((({part})::int)::bigint << {bit})").format(part=part, bit=sql.Literal(bit))
        for bit, part in enumerate(parts.values())
    ]
    truth = sql.SQL("({})").format(sql.SQL(" | ").join(bits)) if bits else sql.SQL("0::bigint")
    return Compiled(_tree("", rule.root, parts.__getitem__), truth, binder.params)


def compiled(rule: Rule, *, scope: Scope, now: datetime, vocabulary: Vocabulary, prefix: str = "rule") -> Compiled:
    """`compile_rule` with the project's time zone."""
    clock = Clock(now, scope.zone)
    return compile_rule(
        rule,
        zone_name=scope.time_zone,
        clock=clock,
        vocabulary=vocabulary,
        environment_id=scope.environment_id,
        prefix=prefix,
    )


def predicate(rule: Rule, *, scope: Scope, now: datetime) -> tuple[sql.Composable, Mapping[str, Any]]:
    """The WHERE condition of a rule over p and f, and its parameters. Two queries for the dictionaries."""
    found = compiled(rule, scope=scope, now=now, vocabulary=vocabulary_of(scope))
    return found.predicate, found.params


def truth_bits(rule: Rule, *, scope: Scope, now: datetime) -> tuple[sql.Composable, Mapping[str, Any]]:
    """A bigint over p and f whose bit n is condition n. Its parameters are those of `predicate`."""
    found = compiled(rule, scope=scope, now=now, vocabulary=vocabulary_of(scope))
    return found.truth, found.params


def over_truth(rule: Rule, column: LiteralString) -> dict[str, sql.Composable]:
    """Path of every node -> its condition over a bigint of truth bits, such as a snapshot's `truth` column."""
    bits, bigint = rule.bits(), sql.SQL(column)

    def leaf(path: str) -> sql.Composable:
        return sql.SQL("({} & {}::bigint) <> 0").format(bigint, sql.Literal(1 << bits[path]))

    return {path: _tree(path, node, leaf) for path, node in rule.walk()}


def _tree(path: str, node: Node, leaf: Callable[[str], sql.Composable]) -> sql.Composable:
    if isinstance(node, Condition):
        return leaf(path)
    parts = [_tree(child_path(path, node, index), child, leaf) for index, child in enumerate(node.children)]
    return _joined(node, parts)


def _joined(group: Group, parts: list[sql.Composable]) -> sql.Composable:
    if not parts:
        return _FALSE if group.mode == "any" else _TRUE
    inside = sql.SQL(" AND " if group.mode == "all" else " OR ").join(parts)
    return sql.SQL("NOT ({})" if group.mode == "none" else "({})").format(inside)


@dataclass(slots=True)
class _Binder:
    """Hands out placeholders. The only way of a value into the statement."""

    prefix: str
    params: dict[str, Any] = field(default_factory=dict)

    def __call__(self, value: Any, cast: LiteralString) -> sql.Composable:
        name = f"{self.prefix}_{len(self.params)}"
        self.params[name] = value
        return sql.SQL("{}::{}").format(sql.Placeholder(name), sql.SQL(cast))


@dataclass(frozen=True, slots=True)
class _Compiler:
    bind: _Binder
    clock: Clock
    zone_name: str
    vocabulary: Vocabulary
    environment_id: int
    depth: int = 0

    def condition(self, condition: Condition) -> sql.Composable:
        asked = fields.find(condition.field, condition.type)  # type: ignore[arg-type]
        chosen = operator(asked.type, condition.op) if asked else None
        assert asked is not None and chosen is not None, f"{condition} was never parsed"
        positive = self._positive(asked, chosen.positive, condition.value)
        words: LiteralString = "(({}) IS NOT TRUE)" if chosen.negates else "(({}) IS TRUE)"
        return sql.SQL(words).format(positive)

    def _positive(self, asked: fields.Field, op: str, value: Any) -> sql.Composable:
        if asked.storage == "audience":
            return _any(self._nested(name) for name in _values(value))
        if asked.storage == "contacts":
            within = _values(value)[1] if op == "within_last" else None
            return self._contacts(asked, _values(value)[:1] if op == "within_last" else _values(value), within)
        if asked.storage == "events":
            return self._events(asked, _values(value))
        if asked.storage == "reached":
            # The moment is looked up once per person, also where an operator has two bounds.
            within = sql.SQL("(SELECT {} FROM (SELECT {} AS at OFFSET 0) AS reached)")
            return within.format(self._moment(sql.SQL("reached.at"), op, value), self._reached(asked))
        if asked.storage == "number":
            return self._number_of_a_name(asked, op, _values(value))
        if asked.storage in ("mask", "words"):
            return self._bit_of_a_name(asked, op, _values(value))
        build = {
            "text": self._text,
            "choice": self._code,
            "number": self._number,
            "boolean": self._number,
            "moment": self._moment,
            "date": self._date,
        }[asked.type]
        return build(self._column(asked), op, value)

    def _number_of_a_name(self, asked: fields.Field, op: str, names: tuple[str, ...]) -> sql.Composable:
        column = sql.SQL(asked.sql)
        if op == "exists":
            return sql.SQL("{} > 0").format(column)
        numbers = [found for name in names if (found := self.vocabulary.number(asked, name)) is not None]
        return sql.SQL("{} = ANY({})").format(column, self.bind(numbers, "int[]")) if numbers else _FALSE

    def _bit_of_a_name(self, asked: fields.Field, op: str, names: tuple[str, ...]) -> sql.Composable:
        columns = fields.SEGMENT_WORDS if asked.storage == "words" else (asked.sql,)
        if op == "exists":
            return _any(sql.SQL("{} <> 0").format(sql.SQL(column)) for column in columns)
        bits = {found for name in names if (found := self.vocabulary.number(asked, name)) is not None}
        masks = [sum(1 << bit % WORD_BITS for bit in bits if bit // WORD_BITS == word) for word in range(len(columns))]
        return _any(
            sql.SQL("({} & {}) <> 0").format(sql.SQL(column), self.bind(mask, "bigint"))
            for column, mask in zip(columns, masks, strict=True)
            if mask
        )

    def _nested(self, name: str) -> sql.Composable:
        """Another audience's whole rule. Its conditions have no bits: they can be asked again from its version."""
        found = self.vocabulary.audience(name)
        if found is None:
            return _FALSE
        assert self.depth < NESTED_MAX, f"{name} is nested deeper than could be stored"
        inner = replace(self, depth=self.depth + 1)
        rule = rule_of(found)
        parts = {path: inner.condition(condition) for path, condition in rule.conditions()}
        return _tree("", rule.root, parts.__getitem__)

    def _contacts(self, asked: fields.Field, names: tuple[Any, ...], days: int | None) -> sql.Composable:
        """One look into the primary key of contacts per campaign and person; of any campaign the latest moment."""
        if names == (fields.ANY_CAMPAIGN,) and days is not None:
            return self._moment(sql.SQL(fields.CATALOGUE[fields.LATEST[asked.key]].sql), "within_last", days)
        found = [each for name in names if (each := self.vocabulary.campaign(name)) is not None]
        if not found:
            return _FALSE
        shape: LiteralString = (
            "EXISTS (SELECT FROM audiences_contact AS c WHERE c.month = ANY({months})"
            " AND c.subject_id = ANY({subjects}) AND c.person_id = p.id AND {when})"
        )
        return sql.SQL(shape).format(
            months=self.bind(sorted({each.month for each in found}), "date[]"),
            subjects=self.bind(sorted(each.number for each in found), "bigint[]"),
            when=self._moment(sql.SQL(asked.sql), "exists" if days is None else "within_last", days),
        )

    def _events(self, asked: fields.Field, value: tuple[Any, ...]) -> sql.Composable:
        """At least so many since the start of a local day: sessions by person, contacts by what was active since."""
        times, days = value
        since = self.bind(self.clock.start_of(self.clock.days_ahead(-days)), "timestamptz")
        until, least = self.bind(self.clock.now, "timestamptz"), self.bind(times, "bigint")
        shapes: dict[str, LiteralString] = {
            "sessions": (
                "(f.last_session_at >= {since} AND (SELECT count(*) FROM audiences_facthistory AS h"
                " WHERE h.environment_id = p.environment_id AND h.person_id = p.id AND h.field = 'session'"
                " AND h.occurred_at >= {since} AND h.occurred_at <= {until}) >= {least})"
            ),
            "contacts": (
                "(f.last_contacted_at >= {since} AND p.id IN (SELECT c.person_id FROM audiences_contactsubject AS s"
                " JOIN audiences_contact AS c ON c.month = s.month AND c.subject_id = s.id"
                " WHERE s.environment_id = {environment} AND s.active_at >= {since} - interval '1 hour'"
                " AND c.contacted_at >= {since} AND c.contacted_at <= {until}"
                " GROUP BY c.person_id HAVING count(*) >= {least}))"
            ),
        }
        environment = self.bind(self.environment_id, "bigint") if asked.sql == "contacts" else sql.SQL("")
        return sql.SQL(shapes[asked.sql]).format(since=since, until=until, least=least, environment=environment)

    def _reached(self, asked: fields.Field) -> sql.Composable:
        """The latest moment at which any source told this stage of the person."""
        shape: LiteralString = (
            "greatest((SELECT max(h.occurred_at) FROM audiences_facthistory AS h"
            " WHERE h.environment_id = p.environment_id AND h.person_id = p.id AND h.field = 'lifecycle'"
            " AND h.value = to_jsonb({stage})), (SELECT max(r.occurred_at) FROM audiences_factrecord AS r"
            " WHERE r.environment_id = p.environment_id AND r.person_id = p.id AND r.values ->> 'lifecycle' = {stage}))"
        )
        return sql.SQL(shape).format(stage=self.bind(asked.key.removeprefix(fields.REACHED_PREFIX), "text"))

    def _column(self, asked: fields.Field) -> sql.Composable:
        column = sql.SQL(asked.sql)
        if asked.storage in ("text", "code"):
            return sql.SQL("NULLIF({}, '')").format(column)
        if asked.storage == "column":
            return column
        return self._trait(asked)

    def _trait(self, asked: fields.Field) -> sql.Composable:
        """A trait of another JSON type than the rule says is unknown; a text that is no date is unknown to `date`."""
        name = self.bind(asked.key.removeprefix(fields.TRAIT_PREFIX), "text")
        shapes: dict[str, LiteralString] = {
            "text": "CASE WHEN jsonb_typeof(p.traits -> {n}) = 'string' THEN NULLIF(p.traits ->> {n}, '') END",
            "number": "CASE WHEN jsonb_typeof(p.traits -> {n}) = 'number' THEN (p.traits ->> {n})::numeric END",
            "boolean": "CASE WHEN jsonb_typeof(p.traits -> {n}) = 'boolean' THEN (p.traits ->> {n})::boolean END",
            "date": (
                "CASE WHEN jsonb_typeof(p.traits -> {n}) <> 'string' THEN NULL"
                " WHEN (p.traits ->> {n}) ~ {day} AND pg_input_is_valid(p.traits ->> {n}, 'date')"
                " THEN (p.traits ->> {n})::date"
                " WHEN (p.traits ->> {n}) ~ {moment} AND pg_input_is_valid(p.traits ->> {n}, 'timestamptz')"
                " THEN ((p.traits ->> {n})::timestamptz AT TIME ZONE {zone})::date END"
            ),
        }
        if asked.type != "date":
            return sql.SQL(shapes[asked.type]).format(n=name)
        day, moment = self.bind(_DATE_PATTERN, "text"), self.bind(_MOMENT_PATTERN, "text")
        return sql.SQL(shapes["date"]).format(n=name, day=day, moment=moment, zone=self.bind(self.zone_name, "text"))

    def _text(self, column: sql.Composable, op: str, value: Any) -> sql.Composable:
        if op == "exists":
            return sql.SQL("{} IS NOT NULL").format(column)
        folded = [_folded(self.bind(each, "text")) for each in _values(value)]
        shapes: dict[str, LiteralString] = {
            "is": "{} = {}",
            "is_one_of": "{} IN ({})",
            "contains": "strpos({}, {}) > 0",
            "starts_with": "starts_with({}, {})",
        }
        return sql.SQL(shapes[op]).format(_folded(column), sql.SQL(", ").join(folded))

    def _code(self, column: sql.Composable, op: str, value: Any) -> sql.Composable:
        if op == "exists":
            return sql.SQL("{} IS NOT NULL").format(column)
        return sql.SQL("{} = ANY({})").format(column, self.bind(list(_values(value)), "text[]"))

    def _number(self, column: sql.Composable, op: str, value: Any) -> sql.Composable:
        if op == "exists":
            return sql.SQL("{} IS NOT NULL").format(column)
        if isinstance(value, bool):
            return sql.SQL("{} = {}").format(column, self.bind(value, "boolean"))
        values = [self.bind(Decimal(repr(each)), "numeric") for each in _values(value)]
        shapes: dict[str, LiteralString] = {
            "is": "{} = {}",
            "at_least": "{} >= {}",
            "at_most": "{} <= {}",
            "between": "{} BETWEEN {} AND {}",
        }
        return sql.SQL(shapes[op]).format(column, *values)

    def _moment(self, column: sql.Composable, op: str, value: Any) -> sql.Composable:
        """Days become instants here, once: the statement itself knows no time zone."""
        if op == "exists":
            return sql.SQL("{} IS NOT NULL").format(column)
        start = self.clock.start_of
        low, high = _day_span(self.clock, op, value)
        bounds: list[tuple[LiteralString, datetime]] = []
        if low is not None:
            bounds.append(("{} >= {}", start(low)))
        if high is not None:
            bounds.append(("{} < {}", start(high)))
        if op == "within_last":
            bounds[-1:] = [("{} <= {}", self.clock.now)]
        if op == "within_next":
            bounds[0] = ("{} >= {}", self.clock.now)
        return _all(sql.SQL(shape).format(column, self.bind(edge, "timestamptz")) for shape, edge in bounds)

    def _date(self, column: sql.Composable, op: str, value: Any) -> sql.Composable:
        if op == "exists":
            return sql.SQL("{} IS NOT NULL").format(column)
        low, high = _day_span(self.clock, op, value)
        bounds: list[tuple[LiteralString, date]] = []
        if low is not None:
            bounds.append(("{} >= {}", low))
        if high is not None:
            bounds.append(("{} < {}", high))
        return _all(sql.SQL(shape).format(column, self.bind(edge, "date")) for shape, edge in bounds)


def _day_span(clock: Clock, op: str, value: Any) -> tuple[date | None, date | None]:
    """The local days that an operator accepts: from the first, up to but without the second."""
    days = _values(value)
    read = date.fromisoformat
    spans: Mapping[str, Callable[[], tuple[date | None, date | None]]] = {
        "within_last": lambda: (clock.days_ahead(-days[0]), clock.days_ahead(1)),
        "more_than_ago": lambda: (None, clock.days_ahead(-days[0])),
        "within_next": lambda: (clock.today, clock.days_ahead(days[0] + 1)),
        "before": lambda: (None, read(days[0])),
        "after": lambda: (clock.day_after(read(days[0])), None),
        "on": lambda: (read(days[0]), clock.day_after(read(days[0]))),
        "between": lambda: (read(days[0]), clock.day_after(read(days[1]))),
    }
    return spans[op]()


def _folded(text: sql.Composable) -> sql.Composable:
    """Lower case by Unicode's simple mapping, the same on every machine whatever the database's locale."""
    return sql.SQL('lower({} COLLATE "pg_c_utf8")').format(text)


def _all(parts: Iterable[sql.Composable]) -> sql.Composable:
    return sql.SQL(" AND ").join(list(parts))


def _any(parts: Iterable[sql.Composable]) -> sql.Composable:
    found = list(parts)
    return sql.SQL("({})").format(sql.SQL(" OR ").join(found)) if found else _FALSE


def _values(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
