"""Seed lists: who may get a test beside oneself. A list has a name, a few addresses, and no history."""

from collections.abc import Sequence
from datetime import datetime

from email_validator import EmailNotValidError, validate_email

from audit import chain
from campaigns.models import SeedList
from campaigns.models.seeds import SEEDS_MAX
from lamba_campaigns.lib.constraints import translated
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope

NAME_LENGTH_MAX = 80
LISTS_MAX = 50


class SeedNameTaken(Conflict):
    """Another list has this name."""

    code = "SEED_NAME_TAKEN"


def create(*, scope: Scope, actor: Actor, name: str, addresses: Sequence[str], now: datetime) -> SeedList:
    """A new list. Invalid names every address that can't be one."""
    kept = _checked(name, addresses)
    taken = SeedNameTaken(f"Another seed list is called {name.strip()}.", next_step="Choose another name.")
    with durable(), translated({"seed_list_name_is_unique": taken}):
        if SeedList.objects.within(scope).count() >= LISTS_MAX:
            raise Conflict(f"There are {LISTS_MAX} seed lists already.", next_step="Delete one first.")
        made: SeedList = SeedList.objects.create(
            environment_id=scope.environment_id,
            name=name.strip(),
            addresses=kept,
            created_at=now,
            created_by=actor.label,
        )
        _audit(scope, actor, made, now, after={"addresses": len(kept)})
    return made


def delete(*, scope: Scope, actor: Actor, seed_list: str, now: datetime) -> None:
    with durable():
        found = find(scope=scope, seed_list=seed_list)
        SeedList.objects.within(scope).filter(pk=found.pk).delete()
        _audit(scope, actor, found, now, before={"addresses": len(found.addresses)})


def find(*, scope: Scope, seed_list: str) -> SeedList:
    found: SeedList | None = SeedList.objects.within(scope).filter(public_id=seed_list).first()
    if found is None:
        raise NotFound("There is no such seed list here.", next_step="List them to see their ids.")
    return found


def lists(*, scope: Scope) -> list[SeedList]:
    """By name."""
    return list(SeedList.objects.within(scope).order_by("name")[:LISTS_MAX])


def _checked(name: str, addresses: Sequence[str]) -> list[str]:
    kept = list(dict.fromkeys(address.strip() for address in addresses if address.strip()))
    problems = []
    if not 1 <= len(name.strip()) <= NAME_LENGTH_MAX:
        problems.append(FieldProblem("#/name", "length", f"Use 1 to {NAME_LENGTH_MAX} characters."))
    if not 1 <= len(kept) <= SEEDS_MAX:
        problems.append(FieldProblem("#/addresses", "length", f"Name 1 to {SEEDS_MAX} addresses."))
    for place, address in enumerate(kept):
        try:
            validate_email(address, check_deliverability=False, test_environment=True)
        except EmailNotValidError as problem:
            problems.append(FieldProblem(f"#/addresses/{place}", "invalid_address", f"{address[:80]}: {problem}"))
    if problems:
        raise Invalid(
            "The seed list is not valid.", next_step="Correct the places named in errors.", problems=tuple(problems)
        )
    return kept


def _audit(scope: Scope, actor: Actor, row: SeedList, now: datetime, **facts: object) -> None:
    subject = chain.Subject("seed_list", row.public_id, row.name)
    chain.record(scope=scope, actor=actor, action="seed_list.changed", subject=subject, now=now, **facts)  # type: ignore[arg-type]
