"""Console pages of audiences, with scripts and without: what they show, save and refuse."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audiences import definitions, uses
from audiences.models import Audience, AudienceVersion
from audiences.tests.conftest import MakePerson
from audiences.tests.forms import inputs
from audiences.uses import Use, Verdict
from projects.scoping import Actor, Scope

GERMANY = {"all": [{"field": "country", "op": "is", "value": "DE"}]}
pytestmark = pytest.mark.django_db(transaction=True)
HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(browser_of: Callable[..., Client], world: Any) -> Client:
    return browser_of(world.alice)


@pytest.fixture
def base(scope: Scope) -> str:
    return f"/{scope.path}/audiences/"


@pytest.fixture
def audience(scope: Scope, actor: Actor, now: datetime) -> Audience:
    return definitions.create(scope=scope, actor=actor, name="Germany", rule=GERMANY, now=now)


@pytest.fixture
def scheduled(audience: Audience) -> Iterator[None]:
    def provider(scope: Scope, audience_ids: Any) -> dict[int, list[Use]]:
        use = Use("Spring", "scheduled", "audience-detail", audience.public_id, scheduled=True)
        return {key: [use] for key in audience_ids if key == audience.pk}

    uses.register_uses(provider)
    yield
    uses._use_providers.remove(provider)


def form_of(browser: Client, path: str) -> QueryDict:
    """What the page's form would send."""
    answer = browser.get(path)
    assert answer.status_code == 200
    data = inputs(answer.content.decode())
    for noise in ("q", "next", "csrfmiddlewaretoken"):
        data.pop(noise, None)
    return data


def send(browser: Client, path: str, data: QueryDict, do: str, htmx: bool = False, **more: str) -> Any:
    sent = data.copy()
    sent["do"] = do
    for key, value in more.items():
        sent[key.replace("__", ".")] = value
    body = sent.urlencode()
    return browser.post(path, body, content_type="application/x-www-form-urlencoded", headers=HTMX if htmx else {})


def test_the_first_visit_says_what_to_do(browser: Client, base: str) -> None:
    page = browser.get(base).content.decode()
    assert "No audiences here yet" in page
    assert f'href="{base}new/"' in page


def test_the_list_shows_rules_and_who_uses_them(
    browser: Client, base: str, audience: Audience, scheduled: None
) -> None:
    page = browser.get(base).content.decode()
    assert "People where country is Germany" in page
    assert "v1" in page
    assert '<td role="cell" class="right uses num">1<' in page
    assert "No audiences match" in browser.get(f"{base}?q=nothing").content.decode()
    assert "Germany" in browser.get(f"{base}?q=germ").content.decode()


def test_the_list_costs_the_same_for_any_length(
    browser: Client, base: str, scope: Scope, actor: Actor, now: datetime
) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            browser.get(base)
        return len(queries)

    definitions.create(scope=scope, actor=actor, name="A0", rule=GERMANY, now=now)
    cost()
    one = cost()
    for number in range(1, 6):
        definitions.create(scope=scope, actor=actor, name=f"A{number}", rule=GERMANY, now=now)
    assert cost() == one


def test_the_list_turns_pages(browser: Client, base: str, scope: Scope, actor: Actor, now: datetime) -> None:
    for number in range(52):
        definitions.create(scope=scope, actor=actor, name=f"A{number:02}", rule=GERMANY, now=now)
    first, second = browser.get(base).content.decode(), browser.get(f"{base}?page=2").content.decode()
    assert "1 to 50" in first and "?page=2" in first
    assert "51 to 52" in second and "A00" in second


def test_an_audience_is_built_and_saved_without_scripts(
    browser: Client, base: str, scope: Scope, contactable: MakePerson
) -> None:
    contactable("u1", country="DE", name="Ina Ott")
    path = f"{base}new/"
    data = form_of(browser, path)
    page = send(browser, path, data, "count", f__n1="country")
    data = inputs(page.content.decode())
    page = send(browser, path, data, "cond:root", v__n1="DE")
    assert page.status_code == 200
    assert "country is Germany" in page.content.decode()
    data = inputs(page.content.decode())
    assert data.getlist("node") == ["root", "n1", "n2"]
    page = send(browser, path, data, "del:n2")
    saved = send(browser, path, inputs(page.content.decode()), "save", name="Germans")
    audience = Audience.objects.within(scope).get()
    assert saved.status_code == 302
    assert saved["Location"] == f"{base}{audience.public_id}/"
    assert (audience.name, definitions.latest(audience).rule) == ("Germans", GERMANY)
    assert "Saved “Germans” v1." in browser.get(saved["Location"]).content.decode()


def test_htmx_gets_the_form_alone(browser: Client, base: str) -> None:
    path = f"{base}new/"
    fragment = send(browser, path, form_of(browser, path), "group:root", htmx=True).content.decode()
    assert fragment.lstrip().startswith('<form class="split" id="builder"')
    assert "<html" not in fragment
    assert "autofocus" in fragment


def test_typing_swaps_the_numbers_alone(browser: Client, base: str, contactable: MakePerson) -> None:
    contactable("u1")
    path = f"{base}new/"
    data = form_of(browser, path)
    fragment = send(browser, f"{path}?part=counts", data, "", htmx=True, v__n1="9").content.decode()
    assert fragment.lstrip().startswith('<div class="sticky stack-20" id="counts">')
    assert 'id="hits-n1" class="num" hx-swap-oob="true"' in fragment
    assert 'id="sentence" hx-swap-oob="true"' in fragment
    assert "within the last 9 days" in fragment
    assert "<input" not in fragment, "the caret stays where it is"


def test_a_row_that_is_not_finished_says_what_is_missing(browser: Client, base: str, scope: Scope) -> None:
    path = f"{base}new/"
    data = form_of(browser, path)
    page = send(browser, path, data, "count", v__n1="soon").content.decode()
    assert "&#x27;soon&#x27; was given; a whole number of days from 0 to 3650 is accepted." in page
    assert "Finish the marked rows" in page
    refused = send(browser, path, data, "save", v__n1="soon", name="Soon")
    assert refused.status_code == 422
    assert not Audience.objects.within(scope).exists()


def test_a_name_is_asked_for_and_the_rows_stay(browser: Client, base: str, scope: Scope) -> None:
    path = f"{base}new/"
    refused = send(browser, path, form_of(browser, path), "save", v__n1="77")
    assert refused.status_code == 422
    assert "A name has 1 to 120 characters." in refused.content.decode()
    assert inputs(refused.content.decode())["v.n1"] == "77"
    assert not Audience.objects.within(scope).exists()


def test_what_was_typed_is_escaped(browser: Client, base: str) -> None:
    path = f"{base}new/"
    evil = "<script>alert(1)</script>"
    page = send(
        browser,
        path,
        form_of(browser, path),
        "count",
        f__n1="name",
        o__n1="contains",
        s__n1="name.text.one",
        v__n1=evil,
    ).content.decode()
    assert evil not in page
    assert "&lt;script&gt;" in page


def test_editing_saves_the_next_version(browser: Client, base: str, audience: Audience, scope: Scope) -> None:
    path = f"{base}{audience.public_id}/edit/"
    data = form_of(browser, path)
    assert (data["v.n1"], data["state_version"]) == ("DE", "1")
    assert send(browser, path, data, "save", v__n1="FR").status_code == 302
    assert AudienceVersion.objects.within(scope).filter(audience=audience).count() == 2


def test_a_stale_tab_is_refused_and_keeps_what_was_typed(
    browser: Client, base: str, audience: Audience, scope: Scope
) -> None:
    path = f"{base}{audience.public_id}/edit/"
    data = form_of(browser, path)
    send(browser, path, data, "save", v__n1="FR")
    refused = send(browser, path, data, "save", v__n1="US")
    assert refused.status_code == 412
    assert "was changed since you opened it" in refused.content.decode()
    assert inputs(refused.content.decode())["v.n1"] == "US"
    assert AudienceVersion.objects.within(scope).filter(audience=audience).count() == 2


def test_a_scheduled_campaign_asks_for_a_yes_first(
    browser: Client, base: str, audience: Audience, scope: Scope, scheduled: None
) -> None:
    path = f"{base}{audience.public_id}/edit/"
    asked = send(browser, path, form_of(browser, path), "save", v__n1="FR")
    page = asked.content.decode()
    assert asked.status_code == 409
    assert "“Spring” will be sent to whoever matches the new rule." in page
    assert AudienceVersion.objects.within(scope).filter(audience=audience).count() == 1
    dialog = inputs(page[page.index('<dialog id="apply"') :].partition("</dialog>")[0])
    assert browser.post(path, dialog.dict()).status_code == 302
    assert definitions.latest(Audience.objects.within(scope).get()).rule["all"][0]["value"] == "FR"


def test_a_copy_starts_from_the_rule(browser: Client, base: str, audience: Audience) -> None:
    data = form_of(browser, f"{base}new/?from={audience.public_id}")
    assert (data["name"], data["f.n1"], data["v.n1"]) == ("Copy of Germany", "country", "DE")


def test_the_page_shows_versions_uses_and_the_count(
    browser: Client, base: str, audience: Audience, scope: Scope, actor: Actor, now: datetime, contactable: MakePerson
) -> None:
    contactable("u1", country="FR", name="Ina Ott")
    rule = {"all": [{"field": "country", "op": "is", "value": "FR"}]}
    definitions.update(scope=scope, actor=actor, audience_id=audience.public_id, state_version=1, rule=rule, now=now)
    page = browser.get(f"{base}{audience.public_id}/").content.decode()
    assert "+ country is France" in page and "\u2212 country is Germany" in page
    assert "No campaign uses this audience." in page
    assert "Ina Ott" in page
    assert "can be contacted" in page


def test_why_a_person_is_not_in_is_answered_on_the_page(
    browser: Client, base: str, audience: Audience, contactable: MakePerson
) -> None:
    contactable("u1", country="FR", name="Ina Ott")
    contactable("u2", country="DE", **{"consent.email": False})
    path = f"{base}{audience.public_id}/"
    page = browser.get(f"{path}?person=u1@example.com").content.decode()
    assert "Not in: the rule does not match." in page and "France" in page and "evt_u1_country" in page
    fragment = browser.get(f"{path}?person=u2", headers=HTMX).content.decode()
    assert "Not in: The person has not agreed to be contacted by this channel." in fragment
    assert "<html" not in fragment
    assert "Nobody here has the address or id" in browser.get(f"{path}?person=nobody").content.decode()


def test_a_viewer_sees_numbers_but_no_people(
    browser_of: Callable[..., Client], world: Any, base: str, audience: Audience, contactable: MakePerson
) -> None:
    contactable("u1", country="DE", name="Ina Ott")
    bob = browser_of(world.bob)
    page = bob.get(f"{base}{audience.public_id}/?person=u1").content.decode()
    assert "can be contacted" in page
    assert "Ina Ott" not in page and "Why is this person" not in page
    assert "Edit rules" not in page
    for path in (f"{base}new/", f"{base}{audience.public_id}/edit/"):
        assert bob.get(path).status_code == 403
        assert bob.post(path, {"do": "save"}).status_code == 403
    assert bob.post(f"{base}{audience.public_id}/", {"state_version": "1"}).status_code == 403


def test_strangers_and_other_environments_find_nothing(
    browser: Client, browser_of: Callable[..., Client], world: Any, base: str, audience: Audience
) -> None:
    assert browser_of(world.charlie).get(base).status_code == 404
    elsewhere = f"/{world.sandbox.path}/audiences/"
    assert "Germany" not in browser.get(elsewhere).content.decode()
    for path in (f"{elsewhere}{audience.public_id}/", f"{elsewhere}{audience.public_id}/edit/"):
        assert browser.get(path).status_code == 404
    assert browser.get(f"{elsewhere}new/?from={audience.public_id}").status_code == 404


def test_deleting_in_production_takes_the_typed_name(
    browser: Client, base: str, audience: Audience, scope: Scope
) -> None:
    path = f"{base}{audience.public_id}/"
    refused = browser.post(path, {"state_version": "1", "confirm": "germ"})
    assert refused.status_code == 422
    assert "Type Germany to delete the audience." in refused.content.decode()
    assert Audience.objects.within(scope).get().deleted_at is None
    assert browser.post(path, {"state_version": "1", "confirm": "germany"}).status_code == 302
    assert browser.get(path).status_code == 404


def test_the_verdict_of_the_plan_stands_below_the_count(browser: Client, base: str, audience: Audience) -> None:
    def provider(scope: Scope, contactable: int) -> Verdict:
        return Verdict(False, "11,840 over the 50,000 of the Growth plan")

    kept = list(uses._verdict_providers)
    uses._verdict_providers[:] = [provider]
    try:
        page = browser.get(f"{base}{audience.public_id}/").content.decode()
    finally:
        uses._verdict_providers[:] = kept
    assert "11,840 over the 50,000 of the Growth plan" in page


def test_a_builder_page_costs_the_same_for_any_rule(browser: Client, base: str, contactable: MakePerson) -> None:
    contactable("u1", session="x")
    path = f"{base}new/"
    data = form_of(browser, path)
    send(browser, path, data, "count", htmx=True)
    with CaptureQueriesContext(connection) as small:
        send(browser, path, data, "count", htmx=True)
    for _ in range(10):
        data = inputs(send(browser, path, data, "cond:root").content.decode())
    with CaptureQueriesContext(connection) as large:
        send(browser, path, data, "count", htmx=True)
    assert len(large) == len(small)
