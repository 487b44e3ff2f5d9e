"""Every page of the console over a large workspace: seconds at the 95th percentile, and queries, beside a bare page.

The demo is made first, then enlarged: for a million people, 2,000 campaigns and five million messages. From the
overview on, links are followed until one example of each page is found. The floor is the page of one's own preferences,
which holds the frame and next to nothing else.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import Resolver404, resolve

from benchmarks import _crowd
from benchmarks.result import Result
from benchmarks.stage import step
from campaigns.models import Campaign
from lamba_campaigns.embedded import ports, seed
from projects.models import Environment

SIZE = ("people", 1_000_000)
QUERIES_MAX = 12
P95_MS_MAX = 100
ROUNDS = 10
PAGES_MAX = 120
BARE = "preferences"
_LINK = re.compile(r'href="(/[^"#?]*)')
_LEAVE_OUT = ("static", "sign-out", "home", "theme")


@dataclass(frozen=True, slots=True)
class Page:
    """One page's readings: milliseconds at the 95th percentile, queries, bytes of HTML."""

    name: str
    address: str
    p95_ms: float
    queries: int
    kilobytes: int


def measure(size: int, options: argparse.Namespace) -> Result:
    with _capture(), step("Demo"):
        call_command("collectstatic", interactive=False, verbosity=0)
        seed.ensure()
    prefix, crowd = _enlarge(size)
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(username="demo@acme.example"))
    with step("Pages"):
        addresses, broken = _find(client, prefix, crowd.largest_campaign)
        pages = [_read(client, name, address) for name, address in addresses.items()]
    bare = next(page for page in pages if page.name == BARE)
    _list(pages)
    slowest = max(pages, key=lambda page: page.p95_ms)
    most = max(pages, key=lambda page: page.queries)
    return Result(
        unit="pages/s",
        size=size,
        ours=len(pages) / sum(page.p95_ms / 1000 for page in pages),
        floor=1000 / bare.p95_ms,
        checks={
            "every page answers": bool(pages) and not broken,
            f"no page asks more than {QUERIES_MAX} queries": most.queries <= QUERIES_MAX,
        },
        extra={
            "pages": len(pages),
            "campaigns": crowd.campaigns,
            "messages": crowd.messages,
            "slowest_page": slowest.name,
            "slowest_p95_ms": round(slowest.p95_ms, 1),
            f"pages_over_{P95_MS_MAX}_ms": sum(page.p95_ms > P95_MS_MAX for page in pages),
            "most_queries": most.queries,
            "most_queries_page": most.name,
        },
    )


@contextmanager
def _capture() -> Iterator[None]:
    """The demo's campaigns really send; their mail is caught here."""
    with closing(ports.choose(1125)) as choice:
        port = choice.port
    settings.EMAIL_URL = settings.CAPTURE_URL = f"smtp://{ports.LOOPBACK}:{port}"
    environment = os.environ | {"LAMBA_CAPTURE_URL": settings.CAPTURE_URL, "EMAIL_URL": settings.EMAIL_URL}
    server = subprocess.Popen(
        [sys.executable, "manage.py", "capture_mail"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def _enlarge(people: int) -> tuple[str, _crowd.Crowd]:
    environment = Environment.objects.select_related("project__workspace").get(
        project__workspace__slug="acme", name="production"
    )
    campaign = (
        Campaign.objects.across_environments("the benchmark's own")
        .filter(environment=environment, state="completed", job__isnull=False)
        .select_related("job")
        .order_by("-snapshot__included")[0]
    )
    assert campaign.job_id and campaign.snapshot_id
    with step("More people, campaigns and messages"):
        crowd = _crowd.enlarge(
            environment_id=environment.pk,
            campaign_id=campaign.pk,
            job_id=campaign.job_id,
            snapshot_id=campaign.snapshot_id,
            people=people,
        )
    project = environment.project
    return f"/{project.workspace.slug}/{project.slug}/production/", crowd


def _find(client: Client, prefix: str, campaign: str) -> tuple[dict[str, str], list[str]]:
    """One address of each page by its name, the largest campaign's first; and the addresses that failed."""
    found: dict[str, str] = {}
    broken: list[str] = []
    tried: set[str] = set()
    waiting = ["/preferences", prefix, f"{prefix}campaigns/{campaign}/"]
    while waiting and len(found) < PAGES_MAX:
        address = waiting.pop(0)
        name = _name(address)
        if not name or name in found or address in tried:
            continue
        tried.add(address)
        answer = client.get(address)
        if answer.status_code >= 400:
            broken.append(address)
            sys.stderr.write(f"  {answer.status_code} {address}\n")
        if answer.status_code != 200 or not answer.headers["Content-Type"].startswith("text/html"):
            continue
        found.setdefault(name, address)
        seen = dict.fromkeys(_LINK.findall(answer.content.decode()))
        fresh = [link for link in seen if _name(link) and _name(link) not in found and "/sandbox/" not in link]
        waiting += sorted(fresh, key=lambda link: campaign not in link)
    return found, broken


def _name(address: str) -> str:
    try:
        name = resolve(address).url_name or ""
    except Resolver404:
        return ""
    return "" if name in _LEAVE_OUT or address.startswith("/staff/") or address.endswith((".csv", ".json")) else name


def _read(client: Client, name: str, address: str) -> Page:
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(address)
    queries = len(captured)  # the next request empties the log
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        client.get(address)
        seconds.append(time.perf_counter() - began)
    p95 = sorted(seconds)[int(0.95 * ROUNDS) - 1]
    return Page(name, address, p95 * 1000, queries, len(answer.content) // 1000)


def _list(pages: list[Page]) -> None:
    for page in sorted(pages, key=lambda page: -page.p95_ms):
        sys.stderr.write(f"  {page.name:<28} {page.p95_ms:8.1f} ms {page.queries:4} queries {page.kilobytes:5} kB\n")
