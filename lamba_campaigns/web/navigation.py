"""What the frame around every page shows: its menu, its usage card, its find box. Apps register, the frame renders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import Count, QuerySet, Value
from django.urls import NoReverseMatch, reverse

from projects.access import Access
from projects.roles import Permission
from projects.scoping import Scope

Section = Literal["main", "evidence", "project"]
SECTION_TITLES: dict[Section, str] = {"main": "", "evidence": "Evidence", "project": "Project"}
HITS_PER_PROVIDER_MAX = 6
SEARCH_TEXT_MIN = 2


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the menu. How many rows `counted` has is shown at its right end, on every page: an indexed query."""

    key: str  # what a page sets as `nav` to mark itself
    label: str
    icon: str
    url_name: str
    section: Section = "main"
    order: int = 100
    permission: Permission = "console.read"
    shortcut: str = ""  # "g c"
    counted: Callable[[Scope], QuerySet[Any]] | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """The usage card at the foot of the menu. `plan` also stands under the project's name."""

    label: str  # "Emails, November"
    used: int
    allowed: int | None  # None is unlimited
    plan: str = ""  # "Growth"
    url: str = ""
    action: str = "Add volume"


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer of the find box."""

    label: str
    url: str
    detail: str = ""
    icon: str = "arrow-right"
    group: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A menu line as rendered for one caller."""

    item: Item
    url: str
    count: int | None


SearchProvider = Callable[[Scope, Access, str], Sequence[Hit]]

_items: dict[str, Item] = {}
_meters: list[Callable[[Scope], Meter | None]] = []
_providers: list[SearchProvider] = []


def register(item: Item) -> None:
    """Put a line into the menu. Call it in `AppConfig.ready()`."""
    _items[item.key] = item


def register_meter(provider: Callable[[Scope], Meter | None]) -> None:
    """Fill the usage card. The first provider that answers wins."""
    if provider not in _meters:
        _meters.append(provider)


def register_search(provider: SearchProvider) -> None:
    """Let the find box (`/`) find your things: `(scope, access, text) -> hits`, at most six, by an index."""
    if provider not in _providers:
        _providers.append(provider)


def url_of(scope: Scope, name: str, *args: object) -> str:
    """The address of a console page in this environment."""
    return reverse(name, args=[scope.workspace_slug, scope.project_slug, scope.environment, *args])


def first_page(scope: Scope) -> str:
    """Where a person lands in an environment."""
    for name in ("overview", "settings"):
        try:
            return url_of(scope, name)
        except NoReverseMatch:
            continue
    return f"/{scope.path}/"


def items(access: Access) -> list[Item]:
    """The menu lines that this caller may open, in order. A line whose address is not mounted is left out."""
    order = list(SECTION_TITLES)
    allowed = (item for item in _items.values() if access.may(item.permission) and _is_mounted(access.scope, item))
    return sorted(allowed, key=lambda item: (order.index(item.section), item.order, item.label))


def _is_mounted(scope: Scope, item: Item) -> bool:
    try:
        return bool(url_of(scope, item.url_name))
    except NoReverseMatch:
        return False


def registered() -> list[Item]:
    """Every line of every app, whoever may see it."""
    return list(_items.values())


def menu(access: Access) -> list[tuple[str, list[Entry]]]:
    """[(section title, entries)] for the sidebar."""
    found: dict[str, list[Entry]] = {}
    shown = items(access)
    counts = _counts(access.scope, shown)
    for item in shown:
        entry = Entry(item, url_of(access.scope, item.url_name), counts.get(item.key))
        found.setdefault(SECTION_TITLES[item.section], []).append(entry)
    return list(found.items())


def _counts(scope: Scope, shown: Sequence[Item]) -> dict[str, int]:
    """How many rows each line counts, by its key, in one query."""
    counted = {item.key: item.counted(scope) for item in shown if item.counted is not None}
    if not counted:
        return {}
    every = [
        rows.order_by().annotate(line=Value(key)).values("line").annotate(rows=Count("pk")).values_list("line", "rows")
        for key, rows in counted.items()
    ]
    return dict.fromkeys(counted, 0) | dict(every[0].union(*every[1:], all=True))


def meter(scope: Scope) -> Meter | None:
    """What the usage card shows, or None to leave it out."""
    return next((found for provider in _meters if (found := provider(scope)) is not None), None)


def search(access: Access, text: str) -> list[Hit]:
    """Pages whose name matches, then what each provider finds."""
    wanted = text.strip().lower()
    pages = [
        Hit(item.label, url_of(access.scope, item.url_name), "", item.icon, "Pages")
        for item in items(access)
        if wanted in item.label.lower()
    ]
    if len(wanted) < SEARCH_TEXT_MIN:
        return pages
    found = [
        hit for provider in _providers for hit in provider(access.scope, access, text.strip())[:HITS_PER_PROVIDER_MAX]
    ]
    return [*pages, *found]
