"""Which audiences ask for the people of which others. No change may make a circle, or nest deeper than can be run."""

import json
from collections.abc import Mapping
from dataclasses import replace

from audiences.models import Audience
from audiences.rules import nesting
from audiences.rules.ast import Rule
from audiences.rules.parse import parse
from audiences.rules.vocabulary import Nested, Vocabulary
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from projects.scoping import Scope


class NestedWrongly(Invalid):
    """The rule would contain itself, or nest too deep."""

    code = "AUDIENCE_NESTED_WRONGLY"
    title = "The rule can't be nested like this"


def users_of(scope: Scope) -> Mapping[str, list[Audience]]:
    """Audience id -> the live audiences whose newest rule names it. Two queries at most."""
    found: dict[str, list[Audience]] = {}
    for audience, rule in _nesting(scope):
        for name in nesting.audiences_of(rule):
            found.setdefault(name, []).append(audience)
    return found


def all_users(scope: Scope, audience: Audience) -> list[Audience]:
    """Every live audience that contains this one, directly or through others, each once."""
    by_name = users_of(scope)
    found: dict[str, Audience] = {}
    waiting = [audience.public_id]
    while waiting:
        for user in by_name.get(waiting.pop(), ()):
            if user.public_id not in found and user.public_id != audience.public_id:
                found[user.public_id] = user
                waiting.append(user.public_id)
    return list(found.values())


def require_sound(*, scope: Scope, audience: Audience | None, rule: Rule, vocabulary: Vocabulary) -> None:
    """NestedWrongly if storing `rule` would make a circle or nest too deep, here or in an audience that contains it.

    One change of nested rules at a time per environment, so that two halves of a circle can't be stored at once.
    """
    itself = audience.public_id if audience else ""
    users = all_users(scope, audience) if audience else []
    if not nesting.audiences_of(rule) and not users:
        return
    sql.execute("audiences", "lock_nesting", {"environment": scope.environment_id})
    wrong = nesting.problem(rule, vocabulary, itself=itself)
    if not wrong and audience and users:
        wrong = _problem_above(scope, audience, rule, vocabulary)
    if wrong:
        raise NestedWrongly(
            wrong,
            next_step="Take the audience out of the rule, or copy its conditions instead.",
            problems=(FieldProblem("#/rule", "nested_wrongly", wrong),),
        )


def _problem_above(scope: Scope, audience: Audience, rule: Rule, vocabulary: Vocabulary) -> str:
    """The first thing that would be wrong with an audience that contains this one, had it this rule."""
    changed = Nested(audience.name, audience.version + 1, rule.as_json())

    def looked_up(name: str) -> Nested | None:
        return changed if name == audience.public_id else vocabulary.audience(name)

    words = replace(vocabulary, audience=looked_up)
    for user in all_users(scope, audience):
        found = looked_up(user.public_id)
        wrong = nesting.problem(nesting.rule_of(found), words, itself=user.public_id) if found else ""
        if wrong:
            return f"“{user.name}” contains this audience: {wrong}"
    return ""


def _nesting(scope: Scope) -> list[tuple[Audience, Rule]]:
    rules: dict[int, str] = dict(sql.rows("audiences", "nesting_rules", {"environment": scope.environment_id}))
    audiences = Audience.objects.within(scope).filter(pk__in=rules).order_by("name") if rules else ()
    return [(audience, parse(json.loads(rules[audience.pk]))) for audience in audiences]
