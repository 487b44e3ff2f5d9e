"""Console pages of audiences: the list, the builder, one audience with its versions and the answer to "why?"."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import F
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone

from audiences import definitions, explaining, nested, preview, snapshot, uses
from audiences.builder import draft as drafts
from audiences.builder.draft import DraftGroup
from audiences.builder.form import as_json, from_form
from audiences.builder.rows import Showing, rows
from audiences.builder.steps import Step, act
from audiences.definitions import AudienceInUse
from audiences.models import Audience, AudienceVersion
from audiences.preview import Preview
from audiences.reasons import LABELS
from audiences.rules.ast import Rule
from audiences.rules.parse import parse
from audiences.rules.sentence import condition_words, parts
from audiences.rules.vocabulary import Vocabulary, load
from lamba_campaigns.lib.errors import DomainError, Invalid, NotFound
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url
from projects.scoping import Scope

PAGE_SIZE: Final = 50
VERSIONS_SHOWN_MAX: Final = 50
SNAPSHOTS_SHOWN_MAX: Final = 20
CHANNEL: Final = "email"  # what the live count of the console is about
_NOT_KEPT: Final = frozenset({"csrfmiddlewaretoken", "do", "confirmed"})


@console_view(get="console.read")
def audience_list(request: ConsoleRequest) -> HttpResponseBase:
    find = request.GET.get("q", "").strip()[:100]
    number = request.GET.get("page", "1")
    number_asked = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 1
    start = PAGE_SIZE * (max(1, number_asked) - 1)
    everything = Audience.objects.within(request.scope).filter(deleted_at=None)
    matching = everything.filter(name__icontains=find) if find else everything
    found = list(matching.order_by("-updated_at", "-id")[start : start + PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    context = {
        "nav": "audiences",
        "rows": _list_rows(request.scope, shown),
        "q": find,
        "is_empty": not found and not find and not start,
        "shown": f"{start + 1} to {start + len(shown)}",
        "previous": _page_query(find, number_asked - 1) if start else "",
        "next": _page_query(find, number_asked + 1) if len(found) > PAGE_SIZE else "",
    }
    return page(request, "audiences/audience_list.html", context)


@console_view(get="audiences.write", post="audiences.write")
def audience_new(request: ConsoleRequest) -> HttpResponseBase:
    """The builder, empty or with the rule of another audience (`?from=aud_…`)."""
    editor = Editor.open(request, None)
    if request.method == "POST":
        return editor.answer()
    source = request.GET.get("from", "")
    if source:
        original = definitions.find(scope=request.scope, audience_id=source)
        editor.draft = drafts.from_rule(definitions.rule_of(definitions.latest(original)))
        editor.name = f"Copy of {original.name}"[: definitions.NAME_LENGTH_MAX]
    return editor.show()


@console_view(get="audiences.write", post="audiences.write")
def audience_edit(request: ConsoleRequest, audience: str) -> HttpResponseBase:
    found = definitions.find(scope=request.scope, audience_id=audience)
    editor = Editor.open(request, found)
    return editor.answer() if request.method == "POST" else editor.show()


@console_view(get="console.read", post="audiences.write")
def audience_detail(request: ConsoleRequest, audience: str) -> HttpResponseBase:
    """One audience. Its only button that changes something here deletes it."""
    found = definitions.find(scope=request.scope, audience_id=audience)
    error = ""
    if request.method == "POST":
        word = _word_to_delete(request.scope, found)
        if word and request.POST.get("confirm", "").strip().casefold() != word.casefold():
            error = f"Type {word} to delete the audience."
        else:
            return _delete(request, found)
    if request.htmx and "person" in request.GET:
        return page(request, "audiences/_explain.html", {"audience": found, **_explained(request, found)})
    return page(request, "audiences/audience_detail.html", _detail(request, found, error), status=422 if error else 200)


# --- the builder ---------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Editor:
    """One request to the builder: what was sent, and what is shown in answer."""

    request: ConsoleRequest
    audience: Audience | None
    vocabulary: Vocabulary
    draft: DraftGroup
    name: str
    state_version: str = ""
    focus: str = ""
    refused: str = ""
    problem: DomainError | None = None
    status: int = 200

    @classmethod
    def open(cls, request: ConsoleRequest, audience: Audience | None) -> "Editor":
        vocabulary = load(request.scope)
        today = timezone.now().astimezone(request.scope.zone).date()
        if request.method == "POST":
            draft = from_form(request.POST, vocabulary, today)
            name, version = request.POST.get("name", ""), request.POST.get("state_version", "")
            return cls(request, audience, vocabulary, draft, name[:500], version)
        if audience is None:
            return cls(request, None, vocabulary, drafts.blank(vocabulary, today), "")
        draft = drafts.from_rule(definitions.rule_of(definitions.latest(audience)))
        return cls(request, audience, vocabulary, draft, audience.name, str(audience.state_version))

    def answer(self) -> HttpResponseBase:
        """Save, or do one step and show the form again."""
        do = self.request.POST.get("do", "")
        if do == "save":
            return self._save()
        step = self._step(do)
        self.draft, self.focus, self.refused = step.draft, step.focus, step.refused
        return self.show()

    def show(self) -> HttpResponse:
        context = self._context()
        if self.request.htmx and not self.problem:
            typed = self.request.GET.get("part") == "counts"
            template = "audiences/_typed.html" if typed else "audiences/_builder.html"
            return page(self.request, template, context)
        return page(self.request, "audiences/audience_form.html", context | self._frame(), status=self.status)

    def _step(self, do: str) -> Step:
        today = timezone.now().astimezone(self.request.scope.zone).date()
        return act(self.draft, do, self.vocabulary, today)

    def _save(self) -> HttpResponseBase:
        try:
            saved = self._store()
        except DomainError as refusal:
            self.problem, self.status = refusal, refusal.status
            return self.show()
        notify(self.request, f"Saved “{saved.name}” v{saved.version}.")
        return HttpResponseRedirect(url(self.request.scope, "audience-detail", saved.public_id))

    def _store(self) -> Audience:
        rule, _ = as_json(self.draft)
        scope, actor, now = self.request.scope, self.request.actor, timezone.now()
        if self.audience is None:
            return definitions.create(scope=scope, actor=actor, name=self.name, rule=rule, now=now)
        return definitions.update(
            scope=scope,
            actor=actor,
            audience_id=self.audience.public_id,
            state_version=int(self.state_version) if self.state_version.isdecimal() else 0,
            name=self.name,
            rule=rule,
            confirmed=self.request.POST.get("confirmed") == "yes",
            now=now,
        )

    def _context(self) -> dict[str, Any]:
        rule, problems, paths = self._read()
        # A script asks again for the exact count; a whole page, or that second question, waits for it.
        quick = bool(self.request.htmx) and "wait" not in self.request.GET
        counted = _count(self.request, rule, self.vocabulary, quick=quick) if rule else None
        hits = {paths[path]: hits for path, hits in counted.per_node.items()} if counted else {}
        root = rows(self.draft, Showing(self.vocabulary, hits, problems))
        return {
            "nav": "audiences",
            "builder_url": self.request.path,
            "state_version": self.state_version,
            "root": root,
            "all_rows": list(root.walk()),
            "focus": self.focus,
            "refused": self.refused,
            "refine": quick and counted is not None and not counted.exact,
            "sentence": parts(rule, self.vocabulary) if rule else (),
            **_counts(self.request.scope, counted),
        }

    def _read(self) -> tuple[Rule | None, dict[str, str], dict[str, str]]:
        """The rule where it is whole, else the first problem of each row; and node path -> node id."""
        given, paths = as_json(self.draft)
        try:
            return parse(given, self.vocabulary), {}, paths
        except Invalid as refusal:
            return None, _problems_by_row(refusal, paths), paths

    def _frame(self) -> dict[str, Any]:
        scope, audience = self.request.scope, self.audience
        in_use = self.problem if isinstance(self.problem, AudienceInUse) else None
        name_error = _name_error(self.problem)
        rule_is_marked = isinstance(self.problem, Invalid) and not name_error
        return {
            "audience": audience,
            "name": self.name,
            "name_error": name_error,
            "next_version": audience.version + 1 if audience else 1,
            "uses": uses.uses_of(scope, [audience.pk])[audience.pk] if audience else [],
            "back": url(scope, "audience-detail", audience.public_id) if audience else url(scope, "audience-list"),
            "problem": None if in_use or name_error or rule_is_marked else self.problem,
            "in_use": in_use,
            "confirm_label": f"Save as v{audience.version + 1}" if audience else "",
            "posted": list(_kept(self.request)) if in_use else [],
        }


def _kept(request: ConsoleRequest) -> Iterator[tuple[str, str]]:
    """Everything that was sent, to be sent again with a yes."""
    for key, values in request.POST.lists():
        if key not in _NOT_KEPT:
            yield from ((key, str(value)) for value in values)


def _problems_by_row(refusal: Invalid, paths: Mapping[str, str]) -> dict[str, str]:
    """Node id -> the first thing wrong with it. A pointer below a node belongs to the node."""
    found: dict[str, str] = {}
    for problem in refusal.problems:
        place = problem.pointer.removeprefix("#")
        while place and place not in paths:
            place = place.rpartition("/")[0]
        found.setdefault(paths[place], problem.detail)
    return found


def _name_error(problem: DomainError | None) -> str:
    pointed = problem.problems if problem else ()
    return next((each.detail for each in pointed if each.pointer == "#/name"), "")


# --- what the pages show -------------------------------------------------------------------------------------------
def _count(request: ConsoleRequest, rule: Rule, vocabulary: Vocabulary, *, quick: bool = False) -> Preview:
    return preview.count(
        scope=request.scope,
        rule=rule,
        channel=CHANNEL,
        now=timezone.now(),
        with_people=request.access.may("people.read"),
        quick=quick,
        vocabulary=vocabulary,
    )


def _counts(scope: Scope, counted: Preview | None) -> dict[str, Any]:
    """The cards beside the rule."""
    if counted is None:
        return {"preview": None}
    left_out = [(LABELS[reason], number, "minus") for reason, number in counted.excluded.items()]
    return {
        "preview": counted,
        "estimated": not counted.exact,
        "steps": [
            ("Match the rules", counted.matched, ""),
            *left_out,
            ("Can be contacted", counted.contactable, "total"),
        ],
        "parts": [
            ("Can be contacted", "ok", counted.contactable),
            ("Left out", "mute", counted.matched - counted.contactable),
        ],
        "verdict": uses.verdict(scope, counted.contactable),
        "people": [
            {"name": shown.name, "detail": shown.detail, "url": url(scope, "person-detail", shown.public_id)}
            for shown in counted.sample
        ],
    }


def _list_rows(scope: Scope, audiences: Sequence[Audience]) -> list[dict[str, Any]]:
    keys = [audience.pk for audience in audiences]
    latest = AudienceVersion.objects.within(scope).filter(audience__in=keys, number=F("audience__version"))
    sentences = dict(latest.values_list("audience_id", "sentence"))
    used = uses.uses_of(scope, keys)
    return [
        {"audience": audience, "sentence": sentences.get(audience.pk, ""), "uses": used[audience.pk]}
        for audience in audiences
    ]


def _page_query(find: str, number: int) -> str:
    return f"?page={number}" + (f"&q={find}" if find else "")


def _detail(request: ConsoleRequest, audience: Audience, error: str) -> dict[str, Any]:
    scope = request.scope
    vocabulary = load(scope)
    versions = list(
        AudienceVersion.objects.within(scope).filter(audience=audience).order_by("-number")[: VERSIONS_SHOWN_MAX + 1]
    )
    rule = definitions.rule_of(versions[0])
    return {
        "nav": "audiences",
        "audience": audience,
        "version": versions[0],
        "versions": _changes(versions, vocabulary)[:VERSIONS_SHOWN_MAX],
        "sentence": parts(rule, vocabulary),
        "uses": uses.uses_of(scope, [audience.pk])[audience.pk],
        "users": nested.users_of(scope).get(audience.public_id, []),
        "word": _word_to_delete(scope, audience),
        "delete_error": error,
        **_counts(scope, _count(request, rule, vocabulary)),
        **_explained(request, audience, vocabulary),
    }


def _changes(versions: Sequence[AudienceVersion], vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Each version with the conditions that it added and dropped, newest first."""
    said = [_said(version, vocabulary) for version in versions]
    before = [*said[1:], {}]
    return [
        {
            "version": version,
            "added": [words for words in now if words not in then] if then else [],
            "dropped": [words for words in then if words not in now],
        }
        for version, now, then in zip(versions, said, before, strict=True)
    ]


def _said(version: AudienceVersion, vocabulary: Vocabulary) -> dict[str, None]:
    rule = definitions.rule_of(version)
    return {condition_words(condition, vocabulary): None for _, condition in rule.conditions()}


def _explained(request: ConsoleRequest, audience: Audience, vocabulary: Vocabulary | None = None) -> dict[str, Any]:
    """The answer for the person that the address asks about, where there is one."""
    if not request.access.may("people.read"):
        return {"asked": ""}
    scope, asked = request.scope, request.GET.get("person", "").strip()[:254]
    then = request.GET.get("snapshot", "")[:40]
    taken = snapshot.latest_of(scope=scope, audience=audience, limit=SNAPSHOTS_SHOWN_MAX)
    context = {
        "asked": asked,
        "asked_snapshot": then,
        "snapshots": taken,
        "snapshot_choices": snapshot.choices(scope=scope, taken=taken),
    }
    if not asked:
        return context
    try:
        person = explaining.find_one(scope=scope, text=asked)
    except NotFound as refusal:
        return context | {"not_found": refusal}
    if then:
        seen = snapshot.of_audience(scope=scope, public_id=then, audience=audience)
        return context | {
            "explanation": explaining.explain_then(scope=scope, snapshot=seen, person=person, vocabulary=vocabulary)
        }
    version = definitions.latest(audience)
    found = explaining.explain(
        scope=scope, version=version, person=person, now=timezone.now(), channel=CHANNEL, vocabulary=vocabulary
    )
    return context | {"explanation": found}


def _word_to_delete(scope: Scope, audience: Audience) -> str:
    return audience.name if scope.is_production else ""


def _delete(request: ConsoleRequest, audience: Audience) -> HttpResponseBase:
    given = request.POST.get("state_version", "")
    definitions.archive(
        scope=request.scope,
        actor=request.actor,
        audience_id=audience.public_id,
        state_version=int(given) if given.isdecimal() else 0,
        now=timezone.now(),
    )
    notify(request, f"Deleted “{audience.name}”.")
    return HttpResponseRedirect(url(request.scope, "audience-list"))
