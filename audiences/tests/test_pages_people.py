"""Console pages of people, imports and segments: what they show, and who may open them."""

from datetime import datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from audiences import imports, segments
from audiences.models import ImportRun, Person, Segment
from audiences.tests.conftest import MakePerson, narrow
from conftest import World
from lamba_campaigns.web.console import url
from projects.models import Member
from projects.scoping import Actor, Scope

PAGES = {  # name -> roles that may open it
    "people-list": {"owner", "admin", "operator", "developer", "support", "analyst"},
    "person-detail": {"owner", "admin", "operator", "developer", "support", "analyst"},
    "import-list": {"owner", "admin", "operator"},
    "import-new": {"owner", "admin", "operator"},
    "import-detail": {"owner", "admin", "operator"},
    "import-problems-csv": {"owner", "admin", "operator"},
    "segment-list": {"owner", "admin", "operator", "developer", "support", "analyst", "billing", "viewer"},
    "segment-detail": {"owner", "admin", "operator", "developer", "support", "analyst"},
}
POSTS = {
    "person-erase": {"owner", "admin"},
    "import-new": {"owner", "admin", "operator"},
    "import-start": {"owner", "admin", "operator"},
    "segment-list": {"owner", "admin", "operator"},
    "segment-detail": {"owner", "admin", "operator"},
    "segment-members": {"owner", "admin", "operator"},
}


@pytest.fixture
def client(world: World, browser_of: object) -> Client:
    return browser_of(world.alice)  # type: ignore[operator,no-any-return]


@pytest.fixture
def run(scope: Scope, actor: Actor, now: datetime) -> ImportRun:
    made = imports.upload(
        scope=scope, actor=actor, filename="june.csv", chunks=[b"external_id,email\nu1,a@b.example\nu2,bad\n"],
        dry_run=False, skip_invalid=False, now=now,
    )  # fmt: skip
    imports.run(run_id=made.pk, now=now)
    return imports.get(scope=scope, public_id=made.public_id)


@pytest.fixture
def vip(scope: Scope, actor: Actor, now: datetime) -> Segment:
    return segments.create(scope=scope, actor=actor, name="VIP customers", now=now)


@pytest.fixture
def addresses(scope: Scope, run: ImportRun, vip: Segment, contactable: MakePerson) -> dict[str, str]:
    rows = {"person": contactable("u7").public_id, "import": run.public_id, "segment": vip.public_id}
    plain = ("people-list", "import-list", "import-new", "segment-list")
    return {
        name: url(scope, name) if name in plain else url(scope, name, rows[name.partition("-")[0]])
        for name in {**PAGES, **POSTS}
    }


@pytest.mark.parametrize("role", ["owner", "admin", "operator", "developer", "support", "analyst", "billing", "viewer"])
def test_each_page_opens_for_the_roles_that_may_read_it(
    world: World, client: Client, addresses: dict[str, str], role: str
) -> None:
    Member.objects.filter(user=world.alice).update(role=role)
    found = {name: client.get(addresses[name]).status_code for name in PAGES}
    assert found == {name: 200 if role in roles else 403 for name, roles in PAGES.items()}


@pytest.mark.parametrize("role", ["operator", "developer", "analyst", "viewer"])
def test_each_change_is_for_the_roles_that_may_make_it(
    world: World, client: Client, addresses: dict[str, str], role: str
) -> None:
    Member.objects.filter(user=world.alice).update(role=role)
    for name, roles in POSTS.items():
        status = client.post(addresses[name]).status_code
        assert (status == 403) == (role not in roles), (name, status)


def test_a_stranger_and_the_other_environment_find_nothing(
    world: World, browser_of: object, client: Client, addresses: dict[str, str]
) -> None:
    stranger = browser_of(world.charlie)  # type: ignore[operator]
    for name, address in addresses.items():
        assert (stranger.get if name in PAGES else stranger.post)(address).status_code == 404
        if name.endswith(("detail", "csv")):
            assert client.get(address.replace("/production/", "/sandbox/")).status_code == 404


def test_people_are_found_by_address_user_id_and_page(scope: Scope, client: Client, contactable: MakePerson) -> None:
    for number in range(60):
        contactable(f"u{number}", email=f"U{number}@Example.com")
    first = client.get(url(scope, "people-list"))
    assert b"U59@Example.com" in first.content and b"U9@Example.com" not in first.content
    second = client.get(url(scope, "people-list") + first.context["next"])
    assert b"U9@Example.com" in second.content and len(second.context["people"]) == 10
    back = client.get(url(scope, "people-list") + second.context["previous"])
    assert [person.pk for person, _ in back.context["people"]] == [person.pk for person, _ in first.context["people"]]
    for text in ("u7@example.com", "u7"):
        found = client.get(url(scope, "people-list"), {"q": text})
        assert [person.external_id for person, _ in found.context["people"]] == ["u7"]
    assert b"Nobody found" in client.get(url(scope, "people-list"), {"q": "nobody@example.com"}).content


def test_a_person_shows_every_fact_with_its_origin(scope: Scope, client: Client, contactable: MakePerson) -> None:
    person = contactable("u1", name="<b>Ada</b>", roles=["member"], **{"segment.vip": True, "unsubscribed.sms": True})
    content = client.get(url(scope, "person-detail", person.public_id)).content.decode()
    assert "&lt;b&gt;Ada" in content and "<b>Ada" not in content
    for text in ("evt_u1_email", "Consent: email", "Unsubscribed", "member", "Vip"):
        assert text in content
    assert f'href="{url(scope, "event-detail", "evt_u1_email")}"' in content


def test_erasing_needs_the_typed_word(scope: Scope, client: Client, contactable: MakePerson) -> None:
    person = contactable("u1", name="Ada", **{"suppressed.email": "complaint"})
    address = url(scope, "person-erase", person.public_id)
    assert client.post(address, {"confirm": "yes"}).status_code == 422
    person.refresh_from_db()
    assert person.name == "Ada"
    assert client.post(address, {"confirm": "erase"}).status_code == 302
    person.refresh_from_db()
    assert (person.name, person.email, narrow(person).suppressed_mask) == ("", "", 1)
    assert b"Erased" in client.get(url(scope, "person-detail", person.public_id)).content


def test_an_upload_is_stored_and_leads_to_its_run(scope: Scope, client: Client) -> None:
    file = SimpleUploadedFile("people.csv", b"external_id\nu1\n", content_type="text/csv")
    answer = client.post(url(scope, "import-new"), {"file": file, "check_only": "on"})
    run = ImportRun.objects.within(scope).get()
    assert answer.headers["Location"] == url(scope, "import-detail", run.public_id)
    assert (run.dry_run, run.state, run.filename) == (True, "queued", "people.csv")
    waiting = client.get(answer.headers["Location"])
    assert b"data-live" in waiting.content
    assert client.get(answer.headers["Location"] + "?seen=queued-0", HTTP_HX_REQUEST="true").status_code == 204


def test_an_upload_without_a_file_says_what_to_do(scope: Scope, client: Client) -> None:
    answer = client.post(url(scope, "import-new"), {})
    assert answer.status_code == 422 and b"This field is required" in answer.content


def test_a_refused_import_names_its_rows_and_offers_the_right_ones(
    scope: Scope, client: Client, run: ImportRun
) -> None:
    page = client.get(url(scope, "import-detail", run.public_id)).content.decode()
    assert "1 of 2 rows has problems" in page and "This is no e-mail address." in page
    assert client.post(url(scope, "import-start", run.public_id)).status_code == 409
    assert client.post(url(scope, "import-start", run.public_id), {"skip_invalid": "1"}).status_code == 302
    imports.run(run_id=run.pk, now=run.created_at)
    assert [person.external_id for person in Person.objects.within(scope)] == ["u1"]
    csv = client.get(url(scope, "import-problems-csv", run.public_id))
    assert b"".join(csv).startswith(b"line,column,problem")
    assert csv.headers["Content-Disposition"].startswith('attachment; filename="acme-app-production-import-problems-')


def test_a_list_is_created_filled_and_emptied(scope: Scope, client: Client, contactable: MakePerson) -> None:
    contactable("u1")
    answer = client.post(url(scope, "segment-list"), {"name": "Beta users"})
    beta = Segment.objects.within(scope).get()
    assert answer.status_code == 302 and beta.slug == "beta-users"
    members = url(scope, "segment-members", beta.public_id)
    assert client.post(members, {"people": "u1@example.com\nnobody@example.com"}).status_code == 422
    assert segments.count(scope=scope, segment=beta) == 0
    assert client.post(members, {"people": "u1@example.com"}).status_code == 302
    assert b"u1@example.com" in client.get(url(scope, "segment-detail", beta.public_id)).content
    assert client.post(members, {"people": "u1", "remove": "1"}).status_code == 302
    assert segments.count(scope=scope, segment=beta) == 0


def test_a_second_list_of_one_name_is_refused(scope: Scope, client: Client, vip: Segment) -> None:
    answer = client.post(url(scope, "segment-list"), {"name": "VIP customers"})
    assert answer.status_code == 422 and b"There is a segment" in answer.content


def test_a_list_can_be_renamed_unless_somebody_was_faster(scope: Scope, client: Client, vip: Segment) -> None:
    address = url(scope, "segment-detail", vip.public_id)
    assert client.post(address, {"name": "Best", "state_version": 1}).status_code == 302
    assert client.post(address, {"name": "Late", "state_version": 1}).status_code == 412
    assert Segment.objects.within(scope).get().name == "Best"


def test_the_find_box_knows_people(scope: Scope, world: World, client: Client, contactable: MakePerson) -> None:
    from audiences import pages
    from projects import access

    contactable("u1", name="Ada")
    granted = access.for_user(
        user=world.alice, workspace="acme", project="app", environment="production", ip="", trace_id=""
    )
    assert [hit.label for hit in pages.find_people(scope, granted, "u1@example.com")] == ["Ada"]
    viewer = access.for_user(
        user=world.bob, workspace="acme", project="app", environment="production", ip="", trace_id=""
    )
    assert list(pages.find_people(scope, viewer, "u1@example.com")) == []
