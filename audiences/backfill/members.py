"""What one member of Lamba's list says, as the facts that events of the same person would tell.

Lamba's pages don't describe a member, so the names of its events are read, at the top, under `user` and under
`profile`; everything else is kept raw. A member that can't be read is counted and named, and the others go on.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from audiences import facts, handlers, statements
from audiences.backfill.client import Page
from audiences.models import BackfillRun
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Scope
from webhooks.registry import Event

_PROFILE: Final = ("email", "name", "givenName", "familyName", "locale", "timeZone", "country", "traits")
_STATES: Final = {"pending": "invited", "disabled": "suspended", "deactivated": "suspended", "deleted": "removed"}
_SPELLINGS: Final = {"userId": ("userId", "user_id"), "state": ("state", "status"), "roles": ("roles",)}
Told = tuple[str, list[tuple[str, Any]], Mapping[str, Any]]  # (user id, [(field, value)], raw)


def read(item: Any, *, source: str, at: datetime) -> Told:
    """Invalid says which part of the member can't be read."""
    if not isinstance(item, Mapping):
        raise Invalid("A member is no object.")
    if "\\u0000" in json.dumps(item):
        raise Invalid("A member holds a NUL character.")
    parts = [item, *(item[name] for name in ("user", "profile") if isinstance(item.get(name), Mapping))]
    said = {name: part[name] for part in reversed(parts) for name in _PROFILE if name in part}
    for name, spellings in _SPELLINGS.items():
        found = [part[each] for part in parts for each in spellings if each in part]
        if found:
            said[name] = found[0]
    if "userId" not in said:
        user = item.get("user")
        said["userId"] = user["id"] if isinstance(user, Mapping) and "id" in user else item.get("id")
    if isinstance(said.get("state"), str):
        state = said["state"].lower()
        said["state"] = _STATES.get(state, state)
    roles = said.get("roles")
    if isinstance(roles, list):
        said["roles"] = [role.get("name") if isinstance(role, Mapping) else role for role in roles]
    profile = Event(source, "profile.updated", at, at, said, "lamba")
    membership = Event(source, "membership.updated", at, at, said, "lamba")
    told = handlers.tell([profile, membership])
    return told[0][0], [value for _, _, values in told for value in values], item


def apply(*, scope: Scope, run: BackfillRun, page: Page, now: datetime) -> tuple[int, list[str]]:
    """Afterwards everyone readable is known as of the run's start. Returns how many are new, and what is unreadable."""
    sql.require_transaction()
    source, told, problems = f"backfill:{run.public_id}", {}, []
    for item in page.items:
        try:
            user, values, raw = read(item, source=source, at=run.created_at)
            told[user] = (values, raw)
        except Invalid as problem:
            problems.append(f"Page {run.page_count + 1}: {problem.detail}"[:300])
    before = facts.find_people(scope=scope, external_ids=sorted(told))
    people = facts.ensure_people(scope=scope, people=[facts.Identity(user) for user in told], now=now)
    changes = [
        facts.Change(people[user], field, value, run.created_at, source)
        for user, (values, _) in told.items()
        for field, value in values
    ]
    facts.apply(scope=scope, changes=changes, now=now)
    _keep(scope, [(people[user], raw) for user, (_, raw) in told.items()], source, run.created_at)
    return len(told) - len(before), problems


def _keep(scope: Scope, members: Sequence[tuple[int, Mapping[str, Any]]], source: str, at: datetime) -> None:
    params = {
        "environment": scope.environment_id,
        "people": [person for person, _ in members],
        "raws": [json.dumps(raw) for _, raw in members],
        "source": source,
        "at": at,
    }
    if members:
        statements.count("keep_members", params=params)
