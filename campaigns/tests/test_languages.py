"""Everybody reads the variant of their locale, else of its language, else the message itself."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from audiences.models import Person, SnapshotMember
from campaigns import templates
from campaigns.models import Campaign, Template, TemplateVersion
from campaigns.templates import Message
from campaigns.tests.conftest import MakeDraft, MakePeople, MakeTemplate, Postbox
from conftest import World
from delivery import replay
from delivery.content import locales
from delivery.models import SendJob
from lamba_campaigns.lib.canonical import digest
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope

NAME = '{{ person.given_name | default: "you" }}'
MANY = Message(
    subject=f"Hello {NAME}",
    preheader="News",
    body=f"Hello **{NAME}**",
    text="",
    variants={
        "de": {"subject": f"Hallo {NAME}", "preheader": "", "body": f"Hallo **{NAME}**", "text": "Nur Text"},
        "de-CH": {"subject": f"Grüezi {NAME}", "preheader": "", "body": f"Grüezi **{NAME}**", "text": ""},
    },
)


@pytest.mark.parametrize(
    ("locale", "chosen"),
    [
        ("de-CH", "de-CH"), ("de_ch", "de-CH"), ("de-AT", "de"), ("DE", "de"), ("de-Latn-CH", "de"), ("fr", ""),
        ("", ""), (None, ""), ("de_DE.UTF-8", "de"), ("english, please", ""), ("d", ""),
    ],
)  # fmt: skip
def test_the_nearest_language_is_chosen(locale: Any, chosen: str) -> None:
    assert locales.choose(locale, {"de", "de-CH"}) == chosen


def test_a_campaign_reaches_everybody_in_their_language_and_it_can_be_shown_later(
    scope: Scope,
    make_people: MakePeople,
    make_draft: MakeDraft,
    make_template: MakeTemplate,
    launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign],
    postbox: Postbox,
) -> None:
    template = make_template("Many", MANY)
    make_people(4)
    for external_id, locale in (("u1", "de-CH"), ("u2", "de_AT"), ("u3", "fr")):
        Person.objects.within(scope).filter(external_id=external_id).update(locale=locale)
    draft = make_draft(people=0)
    version = TemplateVersion.objects.within(scope).get(template=template)
    Campaign.objects.within(scope).filter(pk=draft.pk).update(template_version=version)

    ended = send_it(launch_it(draft))
    Person.objects.within(scope).update(locale="fr")

    assert ended.state == "completed"
    subjects = {
        address: message["Subject"] for (address, _), message in zip(postbox.received, postbox.messages(), strict=True)
    }
    assert subjects == {
        "u1@example.com": "Grüezi U1",
        "u2@example.com": "Hallo U2",
        "u3@example.com": "Hello U3",
        "u4@example.com": "Hello U4",
    }
    texts = {str(each["To"]): each.get_body(("plain",)).get_content() for each in postbox.messages()}  # type: ignore[union-attr]
    assert texts["u2@example.com"].startswith("Nur Text") and "Unsubscribe: http" in texts["u2@example.com"]
    assert texts["u1@example.com"].startswith("Grüezi U1")
    job = SendJob.objects.within(scope).get(pk=ended.job_id)
    received = dict(postbox.received)
    for position in (1, 2, 3, 4):
        built = replay.sent(scope=scope, job=job, position=position)
        assert built.data == received[built.recipient]
    frozen = SnapshotMember.objects.within(scope).filter(snapshot_id=ended.snapshot_id).values_list("fields", flat=True)
    assert sorted(each["locale"] or "" for each in frozen) == ["", "de-CH", "de_AT", "fr"]


def test_a_finding_names_its_language_and_blocks_publishing(
    scope: Scope, actor: Actor, now: Any, growth: None, make_template: MakeTemplate
) -> None:
    wrong = MANY.with_locale("de", Message("Hi {{ nobody }}", "", "a\n\n{{ person.name | shout }}"))

    found = {(each.pointer, each.code, each.line) for each in templates.lint(scope=scope, message=wrong)}

    assert ("#/variants/de/body", "unknown_filter", 3) in found
    with pytest.raises(Invalid) as refused:
        make_template("Wrong", wrong)
    assert "#/variants/de/body" in [each.pointer for each in refused.value.problems]
    assert not Template.objects.within(scope).exists()


def test_an_unknown_locale_is_refused(scope: Scope, growth: None, make_template: MakeTemplate) -> None:
    with pytest.raises(Invalid) as refused:
        make_template("Wrong", Message("Hi", "", "x", variants={"german": {"subject": "x", "body": "x"}}))

    assert refused.value.problems[0].pointer == "#/variants/german"


def test_one_language_keeps_the_digest_it_always_had(scope: Scope, growth: None, make_template: MakeTemplate) -> None:
    first = TemplateVersion.objects.within(scope).get(template=make_template("One", Message("a", "b", "c")))
    second = TemplateVersion.objects.within(scope).get(template=make_template("Two", Message("a", "b", "c", "d")))

    assert bytes(first.digest) == digest({"subject": "a", "preheader": "b", "body": "c"})
    assert bytes(second.digest) != bytes(first.digest)


def test_rest_takes_and_shows_languages_and_the_text_part(
    scope: Scope, growth: None, make_people: MakePeople, api: Callable[..., APIClient]
) -> None:
    make_people(1)
    Person.objects.within(scope).update(locale="de-DE")
    client = api()
    body = {
        "name": "News",
        "subject": "Hello",
        "body": "Hello",
        "text": "Plain",
        "variants": {"de": dict(MANY.variants["de"])},
    }

    made = client.post("/api/v1/templates", body, format="json")
    assert made.status_code == 201, made.json()
    path = f"/api/v1/templates/{made.json()['id']}"
    (version,) = client.get(f"{path}/versions").json()["items"]
    assert (version["text"], version["variants"]["de"]["text"]) == ("Plain", "Nur Text")
    shown = client.post(f"{path}/preview", {"personId": "u1"}, format="json").json()
    assert (shown["locale"], shown["subject"]) == ("de", "Hallo U1") and shown["text"].startswith("Nur Text")
    changed = client.patch(path, {"variants": {}}, format="json", headers={"If-Match": made.json()["etag"]})
    assert changed.status_code == 200
    shown = client.post(f"{path}/preview", {"personId": "u1"}, format="json").json()
    assert (shown["locale"], shown["subject"]) == ("", "Hello") and shown["text"].startswith("Plain")


def test_the_editor_writes_one_language_at_a_time(
    scope: Scope, world: World, make_people: MakePeople, growth: None, make_template: MakeTemplate,
    browser_of: Callable[..., Client],
) -> None:  # fmt: skip
    make_people(1)
    template = make_template("Many", MANY)
    browser, path = browser_of(world.alice), f"/{scope.path}/templates/{template.public_id}/"

    page = browser.get(path, {"locale": "fr"}).content.decode()
    assert "fr, new" in page and "de-CH" in page
    values = {"name": "Many", "subject": "Bonjour", "preheader": "", "body": "Bonjour", "text": "", "locale": "fr"}
    saved = browser.post(path, values | {"save": "1", "state_version": template.state_version})
    assert saved.status_code == 302 and saved["Location"].endswith("?locale=fr")
    fresh = Template.objects.within(scope).get(pk=template.pk)
    whole = templates.current(scope=scope, template=fresh)
    assert (whole.subject, whole.variants["fr"]["subject"], set(whole.variants)) == (
        MANY.subject, "Bonjour", {"de", "de-CH", "fr"}
    )  # fmt: skip

    browser.post(path, values | {"drop": "1", "locale": "de", "state_version": fresh.state_version})
    whole = templates.current(scope=scope, template=Template.objects.within(scope).get(pk=template.pk))
    assert set(whole.variants) == {"de-CH", "fr"}
