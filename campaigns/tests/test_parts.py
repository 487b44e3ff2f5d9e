"""Layouts and snippets: what a published template version holds stays what it sends, whatever becomes of the part."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from audit.models import AuditEntry
from campaigns import parts, previews, templates
from campaigns.message import Message
from campaigns.models import Campaign, Part, PartVersion, Template, TemplateVersion
from campaigns.parts import PartArchived, PartChanged, PartNameTaken
from campaigns.tests.conftest import MakeDraft, MakePeople, MakeTemplate, Postbox
from conftest import World
from delivery import replay
from delivery.models import SendJob
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope

UNSUBSCRIBE = '<a href="{{ unsubscribe_url }}">Leave</a>'
STYLE = "<style>p { color: #123456 }</style>"
LAYOUT = f"<html><head>{STYLE}</head><body>LAYOUT {{{{ content }}}} {UNSUBSCRIBE}</body></html>"
ENDLESS = "{% for i in (1..100000000) %}x{% endfor %}"
MJML = (
    "<mjml><mj-body><mj-section><mj-column><mj-text>Hi {{ person.given_name | default: 'you' }}</mj-text>"
    "<mj-button href='https://acme.example/{{ person.email }}'>Renew</mj-button>"
    f"<mj-text>{UNSUBSCRIBE}</mj-text></mj-column></mj-section></mj-body></mjml>"
)
QUERIES_MAX = 12
MakePart = Callable[..., Part]


@pytest.fixture
def make_part(scope: Scope, actor: Actor, now: datetime) -> MakePart:
    def make(name: str, body: str, kind: str = "snippet", within: Scope | None = None) -> Part:
        given = {"scope": within or scope, "actor": actor, "kind": kind, "name": name, "now": now}
        return parts.create(body=body, publish_it=True, **given)  # type: ignore[arg-type]

    return make


@pytest.fixture
def edit(scope: Scope, actor: Actor, now: datetime) -> Callable[[Part, str], PartVersion]:
    def go(part: Part, body: str) -> PartVersion:
        found = parts.find(scope=scope, part_id=part.public_id)
        version = found.state_version
        return parts.publish(scope=scope, actor=actor, part_id=part.public_id, body=body, version=version, now=now)

    return go


def codes(refused: Any) -> list[tuple[str, str]]:
    return [(each.pointer, each.code) for each in refused.value.problems]


def test_a_published_version_keeps_its_parts_and_sends_the_same_bytes(
    scope: Scope, actor: Actor, now: datetime, growth: None, make_people: MakePeople, make_draft: MakeDraft,
    make_template: MakeTemplate, make_part: MakePart, edit: Any, launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign], postbox: Postbox,
) -> None:  # fmt: skip
    inner = make_part("sign", "Yours, **Ada**")
    footer = make_part("footer", "The team\n\n{% render 'sign' %}\n")
    layout = make_part("brand", LAYOUT, "layout")
    template = make_template("Held", Message("Hi", "", "Hello\n\n{% render 'footer' %}", layout="brand"))
    version = TemplateVersion.objects.within(scope).get(template=template)
    before = templates.content_of(scope=scope, message=version)

    for part, body in ((inner, "Changed"), (footer, "Changed"), (layout, LAYOUT.replace("LAYOUT", "CHANGED"))):
        edit(part, body)
    parts.archive(scope=scope, actor=actor, part_id=footer.public_id, version=3, now=now)

    assert templates.content_of(scope=scope, message=version) == before
    draft = make_draft(people=2)
    Campaign.objects.within(scope).filter(pk=draft.pk).update(template_version=version)
    ended = send_it(launch_it(draft))
    assert ended.state == "completed"
    body = postbox.messages()[0].get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "LAYOUT" in body and "<strong>Ada</strong>" in body and "Changed" not in body
    assert 'style="color: #123456' in body and "Leave</a>" in body
    received = dict(postbox.received)
    job = SendJob.objects.within(scope).get(pk=ended.job_id)
    for position in (1, 2):
        built = replay.sent(scope=scope, job=job, position=position)
        assert built.data == received[built.recipient]


def test_a_draft_shows_the_newest_version_and_the_next_version_takes_it(
    scope: Scope, actor: Actor, now: datetime, growth: None, make_template: MakeTemplate, make_part: MakePart, edit: Any
) -> None:
    part = make_part("footer", "Old words")
    message = Message("Hi", "", "Hello\n\n{% render 'footer' %}")
    template = make_template("News", message)
    first = TemplateVersion.objects.within(scope).get(template=template)
    edit(part, "New words")

    assert "New words" in previews.preview(scope=scope, message=message, person_id=None).text
    second = templates.publish(
        scope=scope, actor=actor, template_id=template.public_id, message=message, version=template.state_version,
        now=now,
    )  # fmt: skip
    assert "New words" in templates.content_of(scope=scope, message=second).body
    assert "Old words" in templates.content_of(scope=scope, message=first).body
    assert bytes(first.digest) != bytes(second.digest)
    assert [
        (each.template_version.number, each.part_version.number) for each in parts.uses(scope=scope, part=part)
    ] == [
        (2, 2),
        (1, 1),
    ]


def test_part_versions_and_uses_can_be_neither_changed_nor_deleted(
    scope: Scope, growth: None, make_template: MakeTemplate, make_part: MakePart
) -> None:
    make_part("footer", "Words")
    make_template("News", Message("Hi", "", "{% render 'footer' %}"))

    for statement in (
        "UPDATE campaigns_partversion SET body = 'x'",
        "DELETE FROM campaigns_partversion",
        "UPDATE campaigns_partuse SET part_version_id = 1",
        "DELETE FROM campaigns_partuse",
    ):
        with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
            connection.cursor().execute(statement)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{% render 'nowhere' %}", "no published snippet 'nowhere'"),
        ("{% render nowhere %}", "name of a snippet alone"),
        ("{% render 'footer', a: 1 %}", "name of a snippet alone"),
    ],
)
def test_a_snippet_that_is_not_there_is_named_with_its_line(
    scope: Scope, growth: None, make_template: MakeTemplate, make_part: MakePart, body: str, words: str
) -> None:
    make_part("footer", "Words")
    with pytest.raises(Invalid) as refused:
        make_template("News", Message("Hi", "", f"One\n\n{body}"))

    (problem,) = refused.value.problems
    assert (problem.pointer, problem.code) == ("#/body", "bad_snippet")
    assert problem.detail.startswith("Line 3") and words in problem.detail


def test_a_circle_is_refused_however_long(scope: Scope, growth: None, make_part: MakePart, edit: Any) -> None:
    first = make_part("one", "1")
    make_part("two", "{% render 'one' %}")
    make_part("three", "{% render 'two' %}")

    for body in ("{% render 'one' %}", "{% render 'three' %}"):
        with pytest.raises(Invalid, match="snippet") as refused:
            edit(first, body)
        assert "circle" in refused.value.problems[0].detail
    assert parts.find(scope=scope, part_id=first.public_id).latest_number == 1


def test_snippets_can_not_multiply_without_bound(scope: Scope, growth: None, make_part: MakePart) -> None:
    make_part("s0", "x" * 20_000)
    make_part("s1", "{% render 's0' %}" * 4)
    with pytest.raises(Invalid) as refused:
        make_part("s2", "{% render 's1' %}" * 4)

    assert "100,000 characters" in refused.value.problems[0].detail


def test_a_problem_in_a_snippet_stands_where_it_is_asked_for(scope: Scope, growth: None, make_part: MakePart) -> None:
    make_part("name", "Dear {{ person.name }},")
    found = templates.lint(
        scope=scope, message=Message("Hi", "", "One\n\nTwo {% render 'name' %}\n\n{{ person.plan }}")
    )

    assert [(each.code, each.line, each.column) for each in found] == [("no_fallback", 3, 5), ("no_fallback", 5, 1)]
    assert found[0].detail.startswith("In the snippet 'name'")


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        ("layout", "<html><body>{{ content }}</body></html>", "no_unsubscribe"),
        ("layout", f"<html><body>{UNSUBSCRIBE}</body></html>", "no_place"),
        ("layout", f"<body>{{{{ content }}}}{UNSUBSCRIBE}<script>x</script></body>", "not_harmless"),
        ("layout", f"<body onload='x()'>{{{{ content }}}}{UNSUBSCRIBE}</body>", "not_harmless"),
        ("layout", f"<body>{{{{ content }}}}{UNSUBSCRIBE}{{{{ person.shoe }}}}</body>", "unknown_variable"),
        ("layout", f"<body>{{{{ content }}}}{UNSUBSCRIBE}{ENDLESS}</body>", "cannot_be_filled"),
        ("layout", "<mjml><mj-body>{{ content }}</mj-body></mjml>", "no_unsubscribe"),
        ("snippet", "{{ person.shoe }}", "unknown_variable"),
        ("snippet", "{% if person.name %}", "liquid_syntax"),
        ("snippet", "{% for i in (1..100000000) %}x{% endfor %}", "cannot_be_filled"),
        ("snippet", "<mj-text>a</mj-button>", "bad_mjml"),
        ("snippet", "{% render 'nowhere' %}", "bad_snippet"),
    ],
)  # fmt: skip
def test_what_no_message_can_hold_is_not_published(
    scope: Scope, growth: None, make_part: MakePart, kind: str, body: str, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        make_part("part", body, kind)

    assert ("#/body", code) in codes(refused) and not Part.objects.within(scope).exists()


def test_a_layout_in_mjml_holds_a_message_in_markdown(
    scope: Scope, growth: None, make_template: MakeTemplate, make_part: MakePart
) -> None:
    make_part("mj", MJML.replace("Hi {{ person.given_name | default: 'you' }}", "{{ content }}"), "layout")
    make_template("News", Message("Hi", "Before", "Hello **you**", layout="mj"))

    shown = previews.preview(scope=scope, message=Message("Hi", "", "Hello **you**", layout="mj"), person_id=None)
    assert "<strong>you</strong>" in shown.html and "mj-column-per-100" in shown.html and shown.errors == []


def test_mjml_is_a_body_with_errors_by_line(scope: Scope, growth: None, make_template: MakeTemplate) -> None:
    message = Message("Hi", "Before all", MJML, format="mjml")
    make_template("News", message)
    shown = previews.preview(scope=scope, message=message, person_id=None)

    assert shown.errors == [] and "Hi Ada" in shown.html and "Before all" in shown.html
    assert "Renew (https://acme.example/ada@example.com)" in shown.text and "Hi Ada" in shown.text
    assert "<style" not in shown.brief.html and "Hi Ada" in shown.brief.text
    for body, line, words in (
        ("<mjml>\n<mj-body>\n<mj-foo></mj-foo></mj-body></mjml>", 3, "no element <mj-foo>"),
        ("<mjml>\n<mj-body></mjml>", 2, "</mj-body> of line 2"),
        ("<mjml>\n\n<mj-body>", 3, "no end"),
        ("<p>no</p>", 1, "begins with <mjml>"),
        ("<mjml><mj-body>\n<mj-include path='/etc/passwd' /></mj-body></mjml>", 2, "use a snippet"),
        ("<mjml><mj-body>\n<mj-raw><script>x</script></mj-raw></mj-body></mjml>", 2, "<script>"),
        ("<mjml><mj-body>" + "<mj-wrapper>" * 3_000 + "</mj-wrapper>" * 3_000 + "</mj-body></mjml>", 1, "40 deep"),
    ):
        found = templates.lint(scope=scope, message=Message("Hi", "", body, format="mjml"))
        assert found[0].pointer == "#/body" and words in found[0].placed, found
        assert found[0].line == line or words == "</mj-body> of line 2"
    without = templates.lint(scope=scope, message=Message("Hi", "", MJML.replace(UNSUBSCRIBE, "x"), format="mjml"))
    assert [each.code for each in without] == ["no_unsubscribe"]
    with pytest.raises(Invalid) as refused:
        make_template("Both", Message("Hi", "", MJML, format="mjml", layout="brand"))
    assert codes(refused) == [("#/layout", "not_with_mjml")]


def test_names_states_and_stale_editors(
    scope: Scope, actor: Actor, now: datetime, growth: None, make_part: MakePart, world: World
) -> None:
    part = make_part("footer", "Words")
    given = {"scope": scope, "actor": actor, "part_id": part.public_id, "now": now}
    with pytest.raises(PartNameTaken):
        make_part("footer", "Other words")
    make_part("footer", LAYOUT, "layout")
    make_part("footer", "Words of the sandbox", within=world.sandbox)
    with pytest.raises(Invalid):
        make_part("Foot er", "Words")
    with pytest.raises(PartChanged):
        parts.publish(body="x", version=1, **given)  # type: ignore[arg-type]

    parts.save_draft(body="{{ wrong }}", version=2, **given)  # type: ignore[arg-type]
    assert parts.current(scope=scope, part=parts.find(scope=scope, part_id=part.public_id)) == "{{ wrong }}"
    parts.archive(version=3, **given)  # type: ignore[arg-type]
    with pytest.raises(PartArchived):
        parts.publish(body="x", version=4, **given)  # type: ignore[arg-type]
    trail = AuditEntry.objects.filter(subject_id=part.public_id).order_by("sequence").values_list("action", flat=True)
    assert list(trail) == ["template_part.created", "template_part.updated", "template_part.archived"]


def test_a_template_of_one_environment_never_takes_a_part_of_the_other(
    scope: Scope, world: World, growth: None, make_part: MakePart, make_template: MakeTemplate
) -> None:
    make_part("footer", "Words", within=world.sandbox)
    with pytest.raises(Invalid) as refused:
        make_template("News", Message("Hi", "", "{% render 'footer' %}"))

    assert codes(refused) == [("#/body", "bad_snippet")] and not Template.objects.within(scope).exists()


def test_rest_creates_edits_publishes_and_names_the_users(
    scope: Scope, growth: None, make_template: MakeTemplate, api: Callable[..., APIClient]
) -> None:
    client = api()
    body = {"kind": "snippet", "name": "footer", "body": "Words of **ours**"}
    made = client.post("/api/v1/template-parts", body, format="json")
    assert made.status_code == 201, made.json()
    path = f"/api/v1/template-parts/{made.json()['id']}"
    make_template("News", Message("Hi", "", "{% render 'footer' %}"))

    edited = client.patch(path, {"body": "Draft"}, format="json", headers={"If-Match": made.json()["etag"]})
    assert edited.status_code == 200 and edited.json()["hasDraft"]
    assert (made.json()["draft"], client.get(path).json()["draft"]) == (None, "Draft")
    wrong = client.post(
        f"{path}/versions",
        {"body": "{% render 'footer' %}"},
        format="json",
        headers={"If-Match": edited.json()["etag"]},
    )
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["pointer"] == "#/body"
    stale = client.post(f"{path}/versions", {"body": "x"}, format="json", headers={"If-Match": made.json()["etag"]})
    assert stale.status_code == 412
    second = client.post(f"{path}/versions", {"body": "x"}, format="json", headers={"If-Match": edited.json()["etag"]})
    assert (second.status_code, second.json()["number"]) == (201, 2)
    assert [each["number"] for each in client.get(f"{path}/versions").json()["items"]] == [2, 1]
    (use,) = client.get(f"{path}/uses").json()["items"]
    assert (use["templateName"], use["templateVersion"], use["version"]) == ("News", 1, 1)
    assert client.post(f"{path}/check", {"body": "{{ nobody }}"}, format="json").json()["problems"][0]["line"] == 1
    assert [each["name"] for each in client.get("/api/v1/template-parts?kind=snippet").json()["items"]] == ["footer"]
    assert client.get("/api/v1/template-parts?kind=layout").json()["items"] == []
    gone = client.delete(path, headers={"If-Match": client.get(path).json()["etag"]})
    assert gone.status_code == 204 and client.get("/api/v1/template-parts").json()["items"] == []


def test_rest_chooses_layout_and_format(
    scope: Scope, growth: None, make_part: MakePart, api: Callable[..., APIClient]
) -> None:
    make_part("brand", LAYOUT, "layout")
    client = api()
    body = {"name": "News", "subject": "Hi", "body": "Hello", "layout": "brand"}

    made = client.post("/api/v1/templates", body, format="json")
    assert made.status_code == 201, made.json()
    path = f"/api/v1/templates/{made.json()['id']}"
    (version,) = client.get(f"{path}/versions").json()["items"]
    assert (version["layout"], version["format"]) == ("brand", "markdown")
    assert "LAYOUT" in client.post(f"{path}/preview", {}, format="json").json()["html"]
    given = {"format": "mjml", "layout": "", "body": MJML}
    changed = client.patch(path, given, format="json", headers={"If-Match": made.json()["etag"]})
    assert changed.status_code == 200
    assert "mj-column-per-100" in client.post(f"{path}/preview", {}, format="json").json()["html"]
    refused = client.post("/api/v1/templates", body | {"name": "Other", "layout": "nowhere"}, format="json")
    assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"] == "#/layout"


def asked(browser: Client, address: str, **data: Any) -> str:
    with CaptureQueriesContext(connection) as queries:
        answer = browser.post(address, data) if data else browser.get(address)
    assert answer.status_code == 200, f"{address}: {answer.status_code}"
    assert len(queries) <= QUERIES_MAX, f"{address} asked {len(queries)} questions: " + "\n".join(
        each["sql"][:150] for each in queries
    )
    return answer.content.decode()


def test_every_page_of_templates_and_parts_asks_little(
    scope: Scope, world: World, make_people: MakePeople, growth: None, make_part: MakePart, make_template: MakeTemplate,
    browser_of: Callable[..., Client],
) -> None:  # fmt: skip
    make_people(3)
    part, layout = make_part("footer", "Words"), make_part("brand", LAYOUT, "layout")
    template = make_template("News", Message("Hi", "", "{% render 'footer' %}", layout="brand"))
    browser = browser_of(world.alice)
    base = f"/{scope.path}/templates/"
    browser.get(base)

    assert "News" in asked(browser, base)
    shown = asked(browser, f"{base}{template.public_id}/")
    assert 'value="brand" selected' in shown and 'value="mjml"' in shown
    assert "footer v1" in asked(browser, f"{base}{template.public_id}/versions/1/")
    asked(browser, f"{base}new/")
    assert "footer" in asked(browser, f"{base}parts/") and "brand" in asked(browser, f"{base}parts/?kind=layout")
    assert "News v1" in asked(browser, f"{base}parts/{part.public_id}/")
    asked(browser, f"{base}parts/{layout.public_id}/")
    asked(browser, f"{base}parts/{part.public_id}/versions/1/")
    asked(browser, f"{base}parts/new/?kind=layout")
    assert "not a field" in asked(browser, f"{base}parts/{part.public_id}/", preview="1", body="{{ nobody }}")


def test_the_editor_of_a_part_saves_publishes_and_archives(
    scope: Scope, world: World, growth: None, browser_of: Callable[..., Client]
) -> None:
    browser, base = browser_of(world.alice), f"/{scope.path}/templates/parts/"
    refused = browser.post(f"{base}new/?kind=layout", {"name": "brand", "body": "<p>no place</p>", "publish": "1"})
    assert refused.status_code == 422 and "exactly once" in refused.content.decode()
    made = browser.post(f"{base}new/?kind=layout", {"name": "brand", "body": LAYOUT, "publish": "1"})
    assert made.status_code == 302
    part = Part.objects.within(scope).get(name="brand")
    page = f"{base}{part.public_id}/"
    assert browser.post(page, {"body": "later", "save": "1", "state_version": 2}).status_code == 302
    assert "later" in browser.get(page).content.decode()
    assert browser.post(page, {"body": LAYOUT, "publish": "1", "state_version": 2}).status_code == 412
    assert browser.post(page, {"body": LAYOUT, "publish": "1", "state_version": 3}).status_code == 302
    assert browser.post(page, {"archive": "1", "state_version": 4}).status_code == 302
    assert Part.objects.within(scope).get(name="brand").status == "archived"
    assert browser_of(world.charlie).get(page).status_code == 404
