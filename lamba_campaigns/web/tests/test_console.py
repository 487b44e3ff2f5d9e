"""The console's edge: scope from the address, refusals as pages or panels, toasts, find, and the menu."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path, reverse

from conftest import World
from lamba_campaigns.lib.errors import Conflict
from lamba_campaigns.web import navigation
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url
from lamba_campaigns.web.navigation import Hit, Item, Meter
from lamba_campaigns.web.reference import in_words
from projects.models import Member

HTMX = {"HX-Request": "true"}


@console_view(get="console.read", post="campaigns.write")
def _echo(request: ConsoleRequest) -> HttpResponse:
    notify(request, "Done.")
    return HttpResponse(f"{request.scope.environment} {request.actor.label} {request.access.role}")


@console_view(get="console.read")
def _refuse(request: ConsoleRequest) -> HttpResponse:
    raise Conflict("It is sending.", next_step="Pause it first.", retryAfter=7)


@console_view(get="console.read")
def _break(request: ConsoleRequest) -> HttpResponse:
    raise RuntimeError("a bug")


_SCOPE = "<slug:workspace>/<slug:project>/<environment:environment>/"
handler404 = "lamba_campaigns.web.errors.page_not_found"
handler500 = "lamba_campaigns.web.errors.server_error"
urlpatterns = [
    path("", include("lamba_campaigns.urls")),
    path(f"{_SCOPE}t/echo", _echo, name="t-echo"),
    path(f"{_SCOPE}t/refuse", _refuse, name="t-refuse"),
    path(f"{_SCOPE}t/break", _break, name="t-break"),
]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def alice(world: World, browser_of: Callable[[User], Client]) -> Client:
    return browser_of(world.alice)


def test_the_address_names_the_scope(alice: Client) -> None:
    assert alice.get("/acme/app/sandbox/t/echo").content == b"sandbox Alice owner"
    assert alice.get("/acme/app/staging/t/echo").status_code == 404


def test_a_stranger_a_wrong_role_and_a_wrong_method_differ(world: World, browser_of: Callable[[User], Client]) -> None:
    path = "/acme/app/production/t/echo"
    assert browser_of(world.charlie).get(path).status_code == 404
    assert browser_of(world.bob).post(path).status_code == 403
    refused = browser_of(world.alice).delete(path)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, POST")


def test_a_refusal_is_a_page(alice: Client) -> None:
    answer = alice.get("/acme/app/production/t/refuse")
    assert answer.status_code == 409
    assert answer.headers["Retry-After"] == "7"
    text = answer.content.decode()
    assert "It is sending. Pause it first." in text
    assert 'data-env="production"' in text


def test_a_refusal_is_a_panel_for_htmx(alice: Client) -> None:
    answer = alice.get("/acme/app/production/t/refuse", headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Retarget"]) == (409, "#problem-body")
    assert "<html" not in answer.content.decode()


def test_a_bug_is_a_page_that_tells_nothing(world: World, browser_of: Callable[[User], Client]) -> None:
    client = browser_of(world.alice)
    client.raise_request_exception = False
    answer = client.get("/acme/app/production/t/break")
    assert answer.status_code == 500
    assert "a bug" not in answer.content.decode()
    assert "INTERNAL_ERROR" in answer.content.decode()


def test_an_unknown_address_is_a_page_or_a_problem_document(client: Client) -> None:
    assert "There is nothing at this address." in client.get("/problems/none-such").content.decode()
    answer = client.get("/api/none-such")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errorCode"] == "NOT_FOUND"


def test_a_toast_travels_with_a_fragment_and_is_said_once(alice: Client) -> None:
    answer = alice.get("/acme/app/production/t/echo", headers=HTMX)
    assert json.loads(answer.headers["HX-Trigger"]) == {"toast": {"texts": ["Done."]}}
    assert "Done." not in alice.get("/acme/app/production/settings/").content.decode()


def test_a_fragment_asked_for_when_signed_out_sends_the_tab_to_the_sign_in(world: World) -> None:
    headers = {**HTMX, "HX-Current-URL": "http://testserver/acme/app/production/settings/?a=1"}
    answer = Client().get("/acme/app/production/t/echo", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/sign-in?next=%2Facme%2Fapp%2Fproduction%2Fsettings%2F%3Fa%3D1"


def test_every_page_carries_the_strict_policy(alice: Client) -> None:
    policy = alice.get("/acme/app/production/settings/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_health_answers_without_a_sign_in(db: None, client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


# --- frame ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def registry() -> Iterator[None]:
    kept = dict(navigation._items), list(navigation._meters), list(navigation._providers)
    yield
    navigation._items.clear()
    navigation._items.update(kept[0])
    navigation._meters[:], navigation._providers[:] = kept[1], kept[2]


def test_every_line_of_the_menu_leads_to_a_page(world: World) -> None:
    assert [url(world.production, item.url_name) for item in navigation.registered()]
    shortcuts = [item.shortcut for item in navigation.registered() if item.shortcut]
    assert len(shortcuts) == len(set(shortcuts))


@pytest.mark.usefixtures("registry")
def test_a_line_is_shown_to_those_who_may_open_it(world: World, browser_of: Callable[[User], Client]) -> None:
    navigation.register(
        Item(
            key="t",
            label="Secret page",
            icon="lock",
            url_name="t-echo",
            permission="billing.manage",
            counted=lambda scope: Member.objects.filter(workspace_id=scope.workspace_id),
        )
    )
    seen = browser_of(world.alice).get("/acme/app/production/settings/").content.decode()
    assert 'Secret page<span class="n">2</span>' in seen
    assert "Secret page" not in browser_of(world.bob).get("/acme/app/production/settings/").content.decode()


@pytest.mark.usefixtures("registry")
def test_the_usage_card_says_used_of_and_what_next(alice: Client) -> None:
    navigation._meters[:] = []
    navigation.register_meter(
        lambda _: Meter("Emails, November", 78_100, 100_000, plan="Growth", url="/x", action="Add volume")
    )
    text = alice.get("/acme/app/production/settings/").content.decode()
    for part in ("Growth plan", "Emails, November", "78.1%", "78,100 of 100,000", "Add volume"):
        assert part in text


@pytest.mark.usefixtures("registry")
def test_find_asks_every_provider_and_keeps_to_its_limit(alice: Client) -> None:
    asked: list[str] = []

    def provider(scope: Any, access: Any, text: str) -> list[Hit]:
        asked.append(text)
        return [Hit(f"Spring {i}", "/x", "Draft") for i in range(20)]

    navigation.register_search(provider)
    text = alice.get("/acme/app/production/find?q=spring", headers=HTMX).content.decode()
    assert asked == ["spring"]
    assert text.count('role="option"') >= navigation.HITS_PER_PROVIDER_MAX
    assert "Spring 5" in text
    assert "Spring 6" not in text
    alice.get("/acme/app/production/find?q=s")
    assert asked == ["spring"]


def test_the_page_helper_renders_with_the_status_asked_for(alice: Client) -> None:
    assert page(alice.get("/healthz").wsgi_request, "errors/500.html", status=418).status_code == 418
    assert reverse("home") == "/"


def test_the_reference_is_read_in_words() -> None:
    assert in_words("listAudiences") == "List audiences"
    assert in_words("campaigns_list") == "Campaigns list"


def test_only_the_rest_reference_has_a_looser_policy(client: Client) -> None:
    policy = client.get("/api/docs/").headers["Content-Security-Policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe-eval" not in policy
