"""Nothing is decided unseen: every action of the catalogue is written somewhere, and every address that changes
something leads, call by call, to the audit trail."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from audit.actions import ACTIONS
from tests.architecture.permissions import CONSOLE, REST

ROOT = Path(__file__).resolve().parents[2]
APPS = ("projects", "audit", "webhooks", "limits", "audiences", "delivery", "campaigns", "lamba_campaigns")
WRITES = "audit.chain.record"
SCOPE = "<slug:workspace>/<slug:project>/<environment:environment>/"
# address: why it leaves nothing in the trail
READS_ONLY = {
    "audiences/preview": "counts a rule that nobody saved",
    "campaigns/<campaign>/preflight": "asks what a launch would say",
    "campaigns/<campaign>/simulate": "plays a schedule through, sends nothing",
    "events/dead-letters/rehearse/": "tries it and rolls it back",
    "inbox/tokens": "hands out a link, stores nothing",
    "people/<person>/preference-link": "hands out a link, stores nothing",
    "template-parts/<part>/check": "reads a text, stores nothing",
    "templates/<template>/preview": "renders, sends nothing",
}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            if "tests" not in path.parts and "migrations" not in path.parts:
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                yield name, ast.parse(path.read_text())


TREES = dict(_modules())


def test_every_action_of_the_catalogue_is_written_somewhere() -> None:
    written = {
        node.value
        for name, tree in TREES.items()
        if name not in ("audit.actions", "audit.forms")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in ACTIONS
    }
    assert set(ACTIONS) - written == set()


# --- who calls whom -------------------------------------------------------------------------------------------------
@cache
def _names(module: str) -> dict[str, str]:
    """What the names of a module mean: its imports, wherever they stand, and what it defines itself."""
    found: dict[str, str] = {}
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {each.asname or each.name.partition(".")[0]: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    for node in TREES[module].body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = f"{module}.{node.name}"
    return found


@cache
def _bodies() -> dict[str, tuple[str, ast.AST]]:
    """Every function, class and method by its full name, with the module that it stands in."""
    found: dict[str, tuple[str, ast.AST]] = {}
    for module, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[f"{module}.{node.name}"] = (module, node)
            if isinstance(node, ast.ClassDef):
                methods = (each for each in node.body if isinstance(each, ast.FunctionDef))
                found |= {f"{module}.{node.name}.{each.name}": (module, each) for each in methods}
    return found


@cache
def _used(name: str) -> frozenset[str]:
    """Everything of ours that a function speaks of: what it calls, passes on, or decorates itself with."""
    module, node = _bodies()[name]
    names, owner = _names(module), name.rpartition(".")[0]
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and each.id in names:
            found.add(names[each.id])
        elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            start = owner if each.value.id == "self" else names.get(each.value.id, "")
            found.add(f"{start}.{each.attr}")
    return frozenset(_home(each) for each in found)


def _home(name: str) -> str:
    """Where a name that a package passes on is really defined."""
    module, _, last = name.rpartition(".")
    if name not in _bodies() and module in TREES:
        return _names(module).get(last, name)
    return name


def _reaches(start: str) -> bool:
    waiting, seen = [start], set()
    while waiting:
        name = waiting.pop()
        if name == WRITES:
            return True
        if name not in seen and name in _bodies():
            seen.add(name)
            waiting += _used(name)
    return False


# --- the addresses --------------------------------------------------------------------------------------------------
def _patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route, entry.callback
        elif not route.startswith("staff/"):
            yield from _patterns(entry, route)


def _changing() -> Iterator[tuple[str, str, str]]:
    """Address, method and the full name of what serves it, for all that is not read."""
    for route, view in _patterns(get_resolver()):
        short = re.sub(r"<\w+:(\w+)>", r"<\1>", route.removeprefix(SCOPE).removeprefix("api/v1/"))
        if route.startswith(SCOPE) and CONSOLE.get(short, (None, None))[1]:
            served = getattr(view, "__wrapped__", view)
            yield short, "POST", f"{served.__module__}.{served.__name__}"
        elif route.startswith("api/v1/") and short in REST:
            owner = view.cls
            for method in REST[short]:
                if method != "GET":
                    yield short, method, f"{owner.__module__}.{owner.__name__}.{method.lower()}"


CHANGING = sorted(set(_changing()))


@pytest.mark.parametrize(("address", "method", "served"), [each for each in CHANGING if each[0] not in READS_ONLY])
def test_what_changes_something_leads_to_the_trail(address: str, method: str, served: str) -> None:
    assert served in _bodies(), f"{served} serves {address}, but is not a function of ours"
    assert _reaches(served), f"{method} {address} is served by {served}, which never comes to {WRITES}"


def test_what_only_reads_is_really_there() -> None:
    assert set(READS_ONLY) <= {address for address, _, _ in CHANGING}


def test_the_search_would_notice_a_silent_change() -> None:
    assert not _reaches("audit.trail.entries") and _reaches("audit.retention.apply")
