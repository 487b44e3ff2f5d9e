"""Signing in: the same answer for every mistake, slow to guess, written down, never a way to another site."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import AuditEntry
from conftest import World

PASSWORD = "correct horse battery"


def _try(client: Client, name: str = "alice@example.com", password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/sign-in", {"username": name, "password": password, **more})


def _trail() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("action", "outcome"))


def test_a_person_gets_in_and_out_and_both_are_written_down(world: World, client: Client) -> None:
    assert _try(client).headers["Location"] == "/"
    assert client.get("/").status_code == 200
    client.post("/sign-out")
    assert client.get("/").status_code == 302
    assert _trail() == [("sign_in.succeeded", "done"), ("signed_out", "done")]


@pytest.mark.parametrize(("name", "password"), [("alice@example.com", "wrong"), ("nobody@example.com", PASSWORD)])
def test_a_wrong_name_and_a_wrong_password_look_the_same(
    world: World, client: Client, name: str, password: str
) -> None:
    answer = _try(client, name, password)
    assert answer.status_code == 422
    assert "That name and password do not belong together." in answer.content.decode()
    assert _trail() == [("sign_in.failed", "refused")]


def test_a_name_is_guessed_ten_times_a_minute_and_no_more(world: World, client: Client, settings: Any) -> None:
    settings.SIGN_IN_ATTEMPTS = ["10/day"]
    for _ in range(10):
        assert _try(client, password="wrong").status_code == 422

    refused = _try(client)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert _try(client, name="bob@example.com").status_code == 302
    assert _trail().count(("sign_in.failed", "refused")) == 10


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "http:///evil.example"],
)
def test_no_address_leads_to_another_site(world: World, client: Client, address: str) -> None:
    assert _try(client, next=address).headers["Location"] == "/"
    assert client.post("/theme", {"theme": "dark", "next": address}).headers["Location"] == "/"


def test_an_address_of_ours_is_kept(world: World, client: Client) -> None:
    path = "/acme/app/sandbox/settings/?a=1"
    assert _try(client, next=path).headers["Location"] == path


def test_who_is_signed_in_needs_no_form(world: World, browser_of: Callable[[User], Client]) -> None:
    assert browser_of(world.alice).get("/sign-in?next=/preferences").headers["Location"] == "/preferences"


def test_a_disabled_account_does_not_get_in(world: World, client: Client) -> None:
    User.objects.filter(pk=world.alice.pk).update(is_active=False)
    assert _try(client).status_code == 422


def test_signing_out_by_a_link_does_nothing(world: World, browser_of: Callable[[User], Client]) -> None:
    browser = browser_of(world.alice)
    assert browser.get("/sign-out").status_code == 405
    assert browser.get("/").status_code == 200


def test_a_form_without_its_token_is_explained(world: World) -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post("/sign-in", {"username": "alice@example.com", "password": PASSWORD})
    assert answer.status_code == 403
    assert "STALE_FORM" in answer.content.decode()


# --- accounts -------------------------------------------------------------------------------------------------------
def test_the_command_line_creates_an_account(db: None) -> None:
    call_command("create_account", "Dora@Example.com", name="Dora Diaz", password="a long enough secret", verbosity=0)
    dora = User.objects.get()
    assert (dora.username, dora.get_full_name(), dora.is_staff) == ("dora@example.com", "Dora Diaz", False)


@pytest.mark.parametrize(("email", "password"), [("nonsense", "a long enough secret"), ("dora@example.com", "short")])
def test_the_command_line_refuses_what_is_no_account(db: None, email: str, password: str) -> None:
    with pytest.raises(CommandError):
        call_command("create_account", email, password=password)
    assert not User.objects.exists()
