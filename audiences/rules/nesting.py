"""Rules within rules: an audience that asks for the people of another one. No circle, and never deeper than three."""

from collections.abc import Iterator

from audiences.rules.ast import Condition, Rule
from audiences.rules.parse import parse
from audiences.rules.vocabulary import Nested, Vocabulary

NESTED_MAX = 3  # audiences within audiences, the rule itself not counted
CONDITIONS_IN_ALL_MAX = 120


def audiences_of(rule: Rule) -> list[str]:
    """The audiences that a rule itself names, each once, in reading order."""
    found = [name for _, condition in rule.conditions() for name in names_of(condition)]
    return list(dict.fromkeys(found))


def names_of(condition: Condition) -> tuple[str, ...]:
    """The audiences that a condition names; none for every other field."""
    if condition.field != "audience":
        return ()
    value = condition.value
    return tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)


def rule_of(nested: Nested) -> Rule:
    """The rule of a nested audience. It was checked when it was stored."""
    return parse(nested.rule)


def conditions(rule: Rule, vocabulary: Vocabulary, depth: int = 0) -> Iterator[Condition]:
    """Every condition of a rule and of all that it nests."""
    for _, condition in rule.conditions():
        yield condition
        for name in names_of(condition) if depth < NESTED_MAX else ():
            found = vocabulary.audience(name)
            if found is not None:
                yield from conditions(rule_of(found), vocabulary, depth + 1)


def versions(rule: Rule, vocabulary: Vocabulary) -> dict[str, int]:
    """Every audience that a rule nests, at any depth -> the version that is meant."""
    names = [name for condition in conditions(rule, vocabulary) for name in names_of(condition)]
    return {name: found.version for name in dict.fromkeys(names) if (found := vocabulary.audience(name)) is not None}


def problem(rule: Rule, vocabulary: Vocabulary, *, itself: str = "") -> str:
    """Why this rule may not be stored for the audience `itself` ("" for a new one), or "" where it may."""
    return _problem(rule, vocabulary, (itself,)) or _too_many(rule, vocabulary)


def _problem(rule: Rule, vocabulary: Vocabulary, above: tuple[str, ...]) -> str:
    for name in audiences_of(rule):
        found = vocabulary.audience(name)
        if found is None:
            continue
        if name in above:
            return f"“{found.name}” would be inside itself."
        if len(above) > NESTED_MAX:
            return f"Audiences may be nested {NESTED_MAX} deep; “{found.name}” would be one too many."
        inner = _problem(rule_of(found), vocabulary, (*above, name))
        if inner:
            return inner
    return ""


def _too_many(rule: Rule, vocabulary: Vocabulary) -> str:
    count = sum(1 for _ in conditions(rule, vocabulary))
    if count <= CONDITIONS_IN_ALL_MAX:
        return ""
    return f"A rule and all that it nests may have {CONDITIONS_IN_ALL_MAX} conditions; this one has {count}."
