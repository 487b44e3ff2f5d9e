"""Console pages of consent: topics, and what stands for one person with its evidence."""

from django.http import HttpResponse, HttpResponseRedirect
from django.utils import timezone

from audiences import people
from audiences.models import Person
from audit.chain import Subject
from audit.refusals import recording
from delivery import preferences, standing, topics
from delivery.consent_forms import DecisionForm, TopicEditForm, TopicForm
from delivery.models import Topic
from delivery.unsubscribing import link
from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url

EVIDENCE_ROWS = 100


@console_view(get="console.read", post="settings.manage")
def topic_list(request: ConsoleRequest) -> HttpResponse:
    form = TopicForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and _created(request, form):
        notify(request, "Topic created.")
        return HttpResponseRedirect(url(request.scope, "topic-list"))
    rows = list(Topic.objects.within(request.scope).order_by("archived_at", "name")[: 2 * topics.TOPICS_MAX])
    context = {"nav": "topics", "form": form, "rows": rows}
    return page(request, "delivery/topics.html", context, status=422 if form.errors else 200)


@console_view(get="console.read", post="settings.manage")
def topic_detail(request: ConsoleRequest, topic: str) -> HttpResponse:
    found = topics.get(scope=request.scope, public_id=topic)
    words = {"name": found.name, "description": found.description, "version": found.state_version}
    form = TopicEditForm(request.POST if request.method == "POST" else None, initial=words)
    if request.method == "POST" and form.is_valid() and _changed(request, found, form):
        notify(request, "Topic saved.")
        return HttpResponseRedirect(url(request.scope, "topic-list"))
    context = {"nav": "topics", "form": form, "topic": found}
    return page(request, "delivery/topic.html", context, status=422 if form.errors else 200)


@console_view(post="settings.manage")
def topic_archive(request: ConsoleRequest, topic: str) -> HttpResponse:
    text = request.POST.get("version", "")
    version = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    found = topics.get(scope=request.scope, public_id=topic)
    now, subject = timezone.now(), Subject("topic", found.public_id, found.name)
    with recording(scope=request.scope, actor=request.actor, action="topic.archived", subject=subject, now=now):
        topics.archive(scope=request.scope, actor=request.actor, public_id=topic, version=version, now=now)
    notify(request, f"{found.name} archived.")
    return HttpResponseRedirect(url(request.scope, "topic-list"))


@console_view(get="people.read", post="suppressions.write")
def person_consent(request: ConsoleRequest, person: str) -> HttpResponse:
    found = people.get(scope=request.scope, public_id=person)
    offered = [(topic.slug, topic.name) for topic in topics.offered(scope=request.scope)]
    form = DecisionForm(request.POST if request.method == "POST" else None, offered=offered)
    if request.method == "POST" and form.is_valid() and _recorded(request, found, form):
        notify(request, "Decision recorded.")
        return HttpResponseRedirect(url(request.scope, "person-consent", found.public_id))
    channels = standing.of(scope=request.scope, person=found)
    evidence = standing.evidence(scope=request.scope, person=found).order_by("-pk")[:EVIDENCE_ROWS]
    context = {
        "nav": "people",
        "person": found,
        "form": form,
        "channels": [(each, dict(form.fields["channel"].choices)[each.channel]) for each in channels],  # type: ignore[attr-defined]
        "evidence": list(evidence),
        "offered": offered,
        "link": link(preferences.link_of(scope=request.scope, person_id=found.pk)),
    }
    return page(request, "delivery/person_consent.html", context, status=422 if form.errors else 200)


def _created(request: ConsoleRequest, form: TopicForm) -> bool:
    try:
        topics.create(scope=request.scope, actor=request.actor, now=timezone.now(), **form.cleaned_data)
    except DomainError as refused:
        form.take(refused)
        return False
    return True


def _changed(request: ConsoleRequest, topic: Topic, form: TopicEditForm) -> bool:
    try:
        topics.edit(
            scope=request.scope,
            actor=request.actor,
            public_id=topic.public_id,
            now=timezone.now(),
            **form.cleaned_data,
        )
    except DomainError as refused:
        form.take(refused)
        return False
    return True


def _recorded(request: ConsoleRequest, person: Person, form: DecisionForm) -> bool:
    try:
        standing.record(
            scope=request.scope,
            actor=request.actor,
            person=person,
            how="console",
            source="",
            occurred_at=None,
            now=timezone.now(),
            **form.cleaned_data,
        )
    except DomainError as refused:
        form.take(refused)
        return False
    return True
