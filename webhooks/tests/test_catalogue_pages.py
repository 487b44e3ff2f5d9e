"""The catalogue beside each type: sample, schema and code that people copy, every line of which runs here."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright._impl._driver import compute_driver_executable

from conftest import World
from lamba_campaigns.web import navigation
from projects.scoping import Scope
from webhooks import catalog, snippets
from webhooks.tests.conftest import Sender

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
PUBLIC = [each for each in catalog.every() if each.audience == "public"]


def test_the_catalogue_lists_every_public_type_once(browser_of: Browser, world: World, scope: Scope) -> None:
    groups = browser_of(world.alice).get(navigation.url_of(scope, "event-types")).context["groups"]

    assert sorted(kind.name for _, kinds in groups for kind in kinds) == sorted(each.name for each in PUBLIC)


def test_each_type_has_a_page_with_its_sample_its_schema_and_its_receivers(
    browser_of: Browser, world: World, scope: Scope
) -> None:
    browser = browser_of(world.alice)
    for kind in PUBLIC:
        page = browser.get(navigation.url_of(scope, "event-type", kind.name))
        assert page.status_code == 200
        assert json.loads(page.context["sample"]) == json.loads(json.dumps(kind.sample))
        assert [name for name, _, _ in page.context["receivers"]] == ["python", "node"]
        html = page.content.decode()
        assert html.count("data-copy") >= 3
    for unknown in ("delivery.job_finished", "campaign.exploded"):
        assert browser.get(navigation.url_of(scope, "event-type", unknown)).status_code == 404


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.name)
def test_the_python_receiver_of_each_type_gives_its_data_and_nothing_else(
    kind: catalog.EventType, lamba: Sender
) -> None:
    space: dict[str, Any] = {}
    exec(snippets.receiver("python", kind.name), space)  # noqa: S102 - our own snippet, as a customer would run it
    own, other = (_body(lamba, name, kind.sample) for name in (kind.name, "some.other"))

    assert space["receive"](own, _headers(lamba, own), lamba.secret) == json.loads(json.dumps(kind.sample))
    assert space["receive"](other, _headers(lamba, other), lamba.secret) is None
    assert space["receive"](own + b" ", _headers(lamba, own), lamba.secret) is None


def test_the_node_receiver_of_each_type_gives_its_data_and_nothing_else(lamba: Sender, tmp_path: Path) -> None:
    cases = []
    for number, kind in enumerate(PUBLIC):
        (tmp_path / f"receive{number}.mjs").write_text(snippets.receiver("node", kind.name))
        bodies = [_body(lamba, name, kind.sample) for name in (kind.name, "some.other")]
        cases.append([(body.decode(), _headers(lamba, body)) for body in bodies])
    script = tmp_path / "all.mjs"
    script.write_text(
        f"const cases = {json.dumps(cases)}, found = [];\n"
        "for (const [number, each] of cases.entries()) {\n"
        "  const { receive } = await import(`./receive${number}.mjs`);\n"
        f"  found.push(each.map(([b, h]) => receive(Buffer.from(b), h, {json.dumps(lamba.secret)})));\n"
        "}\nconsole.log(JSON.stringify(found));\n"
    )

    done = subprocess.run(
        [str(compute_driver_executable()[0]), str(script)], capture_output=True, text=True, check=True, timeout=30
    )

    assert json.loads(done.stdout) == [[json.loads(json.dumps(kind.sample)), None] for kind in PUBLIC]


def _body(lamba: Sender, type: str, data: Any) -> bytes:
    return json.dumps(lamba.envelope(type, json.loads(json.dumps(data)))).encode()


def _headers(lamba: Sender, body: bytes) -> dict[str, str]:
    return {name.lower(): text for name, text in lamba.signed(body).items()}
