"""Lamba's members are read once each, whatever its API does in between. The server is real, and so is the HTTP."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection as database

from audiences import facts, people
from audiences.backfill import connection, members, runs
from audiences.models import BackfillRun, LambaConnection, LambaMember, Person
from audiences.tests.conftest import MakePerson, narrow
from audiences.tests.lamba_server import Lamba, serving
from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.lib.errors import Conflict, Invalid, NotFound, Stale
from projects.scoping import Actor, Scope

Work = Callable[..., BackfillRun]


@pytest.fixture
def lamba() -> Iterator[Lamba]:
    with serving() as found:
        found.members = [
            {"userId": f"u{n}", "email": f"u{n}@example.com", "state": "active", "roles": ["member"]} for n in range(7)
        ]
        yield found


@pytest.fixture
def here(world: World) -> Scope:
    """The sandbox: it may ask a server on this machine."""
    return world.sandbox


@pytest.fixture
def access(here: Scope, actor: Actor, now: datetime, lamba: Lamba) -> LambaConnection:
    given = connection.Access(
        auth_url=lamba.url, api_url=lamba.url, client_id="mgmt", client_secret="s3cret", page_size=3
    )
    return connection.save(scope=here, actor=actor, access=given, state_version=None, now=now)


@pytest.fixture
def work(here: Scope, actor: Actor, now: datetime, access: LambaConnection) -> Work:
    """work(steps) -> a run that was started and worked on so often, a minute apart."""

    def go(steps: int = 1, run: BackfillRun | None = None) -> BackfillRun:
        found = run or runs.start(scope=here, actor=actor, now=now)
        for step in range(steps):
            runs.work(run_id=found.pk, now=now + timedelta(minutes=step))
        return runs.get(scope=here, public_id=found.public_id)

    return go


def _known(scope: Scope) -> list[str]:
    return sorted(Person.objects.within(scope).values_list("external_id", flat=True))


def test_every_member_is_read_page_by_page(here: Scope, lamba: Lamba, work: Work) -> None:
    run = work()
    assert (run.state, run.page_count, run.member_count, run.created_count) == ("done", 3, 7, 7)
    assert _known(here) == [f"u{n}" for n in range(7)]
    person = Person.objects.within(here).get(external_id="u4")
    assert (person.email, narrow(person).membership) == ("u4@example.com", 2)
    assert {each.source for each in facts.of_person(scope=here, person_id=person.pk)} == {f"backfill:{run.public_id}"}
    assert [(path, given.get("cursor")) for _, path, given in lamba.asked[2:]] == [
        ("/v1/admin/members", None), ("/v1/admin/members", "v1:3"), ("/v1/admin/members", "v1:6"),
    ]  # fmt: skip
    assert lamba.asked[0][2] == {
        "grant_type": "client_credentials", "client_id": "mgmt", "client_secret": "s3cret",
        "workspaceId": here.workspace, "projectId": here.project, "environment": "test",
    }  # fmt: skip
    entries = AuditEntry.objects.filter(action__startswith="backfill.").order_by("pk").values_list("action", flat=True)
    assert list(entries) == ["backfill.connected", "backfill.started", "backfill.finished"]


def test_unknown_fields_are_kept_raw_and_erased_with_their_person(
    here: Scope, actor: Actor, now: datetime, lamba: Lamba, work: Work
) -> None:
    lamba.members = [
        {"id": "m1", "user": {"id": "u1", "email": "a@example.com"}, "status": "Pending", "shoe": {"size": 42}}
    ]
    work()
    person = Person.objects.within(here).get()
    assert (person.external_id, person.email, narrow(person).membership) == ("u1", "a@example.com", 1)
    assert LambaMember.objects.within(here).get().raw == lamba.members[0]
    people.erase(scope=here, actor=actor, public_id=person.public_id, now=now + timedelta(days=1))
    assert not LambaMember.objects.within(here).exists()


def test_a_second_run_changes_nobody_and_newer_events_stand(
    here: Scope, now: datetime, work: Work, make_person: MakePerson
) -> None:
    make_person("u1", at=now + timedelta(hours=1), within=here, email="newer@example.com")
    first, second = work(), work()
    assert (first.created_count, second.created_count, second.member_count) == (6, 0, 7)
    assert Person.objects.within(here).get(external_id="u1").email == "newer@example.com"


def test_a_refused_token_is_replaced_once(lamba: Lamba, work: Work) -> None:
    lamba.faults = [(401, {}, b"{}")]
    assert work().state == "done"
    assert lamba.tokens == 2


def test_wrong_credentials_end_the_run_and_say_so(here: Scope, lamba: Lamba, work: Work) -> None:
    lamba.secret = "rotated"
    run = work()
    assert (run.state, run.problem) == ("failed", "Lamba refuses the client id and secret (401).")
    assert _known(here) == []


def test_429_is_waited_out_as_asked(now: datetime, lamba: Lamba, work: Work) -> None:
    lamba.faults = [(429, {"Retry-After": "45"}, b"{}")]
    run = work()
    assert (run.state, run.failure_count, run.problem) == ("running", 0, "Lamba asks to wait 45 seconds.")
    assert timedelta(seconds=45) <= run.due_at - now < timedelta(seconds=55)
    asked = len(lamba.asked)
    assert not runs.work(run_id=run.pk, now=now + timedelta(seconds=30))
    assert len(lamba.asked) == asked
    runs.work(run_id=run.pk, now=now + timedelta(seconds=60))
    run.refresh_from_db()
    assert (run.state, run.member_count) == ("done", 7)


@pytest.mark.parametrize(
    "fault",
    [(500, {}, b'{"traceId": "00-5"}'), (200, {"Cut": "yes"}, b'{"items": [{"userId'), (200, {}, b'{"items": [')],
    ids=["500", "cut off", "no JSON"],
)  # fmt: skip
def test_what_may_go_away_is_tried_again_from_the_same_cursor(
    now: datetime, lamba: Lamba, work: Work, fault: tuple[int, dict[str, str], bytes]
) -> None:
    lamba.members = lamba.members * 1
    lamba.faults = [fault]
    run = work()
    assert (run.state, run.failure_count, run.member_count) == ("running", 1, 0)
    assert run.problem.startswith("Lamba")
    run = work(3, run)
    assert (run.state, run.failure_count, run.member_count, run.problem) == ("done", 0, 7, "")


def test_a_server_that_stays_away_ends_the_run(now: datetime, lamba: Lamba, work: Work) -> None:
    lamba.faults = [(503, {}, b"") for _ in range(runs.FAILURES_MAX)]
    run = work(60)
    assert run.state == "failed"
    assert "tried 8 times" in run.problem


def test_a_cursor_that_lamba_forgot_begins_the_list_again(
    here: Scope, lamba: Lamba, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "STEP_SECONDS", 0.0)
    answer = lamba.answer

    def changing(method: str, target: str, body: bytes, token: str) -> Any:
        found = answer(method, target, body, token)
        if "v1%3A3" in target:
            lamba.cursors = "v2"
        return found

    lamba.answer = changing  # type: ignore[method-assign]
    monkeypatch.setattr(runs, "STEP_SECONDS", 20.0)
    run = work()
    assert (run.state, run.restart_count, run.member_count, run.created_count) == ("done", 1, 7, 7)
    assert "from its beginning again" in run.problems[0]
    assert _known(here) == [f"u{n}" for n in range(7)]


def test_a_cursor_that_leads_nowhere_ends_the_run(lamba: Lamba, work: Work) -> None:
    page: tuple[int, dict[str, str], bytes] = (200, {}, b'{"items": [], "nextCursor": "same"}')
    lamba.faults = [page, page]
    run = work()
    assert run.state == "failed"
    assert "same one twice" in run.problem


def test_unreadable_members_are_named_and_the_others_read(here: Scope, lamba: Lamba, work: Work) -> None:
    lamba.members = [
        {"userId": 7},
        "what",
        {"userId": "u1", "state": "odd"},
        {"userId": "u2", "name": "a\x00"},
        {"userId": "u3"},
    ]
    run = work()
    assert (run.state, run.member_count, run.unreadable_count, len(run.problems)) == ("done", 1, 4, 4)
    assert _known(here) == ["u3"]


def test_a_run_goes_on_where_a_lost_worker_stopped(
    here: Scope, now: datetime, lamba: Lamba, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = members.apply

    def die_on_the_second(**given: Any) -> Any:
        if given["run"].page_count == 1:
            raise MemoryError
        return apply(**given)

    monkeypatch.setattr(members, "apply", die_on_the_second)
    with pytest.raises(MemoryError):
        work()
    monkeypatch.setattr(members, "apply", apply)
    run = BackfillRun.objects.within(here).get()
    assert (run.state, run.page_count, run.cursor) == ("running", 1, "v1:3")
    assert not runs.work(run_id=run.pk, now=now + timedelta(seconds=10))  # its lease still holds
    lamba.asked.clear()
    runs.work(run_id=run.pk, now=now + 2 * runs.LEASE)
    run.refresh_from_db()
    assert (run.state, run.member_count, run.created_count) == ("done", 7, 7)
    assert [given.get("cursor") for _, path, given in lamba.asked if path == "/v1/admin/members"] == ["v1:3", "v1:6"]


def test_a_worker_that_comes_late_writes_nothing(
    here: Scope, actor: Actor, now: datetime, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease ended while Lamba kept it waiting, and another worker finished the run."""
    run = runs.start(scope=here, actor=actor, now=now)
    late: list[bool] = []
    step = runs._step

    def slow(*given: Any) -> bool:
        if not late:
            late.append(True)
            runs.work(run_id=run.pk, now=now + runs.LEASE)
        return step(*given)

    monkeypatch.setattr(runs, "_step", slow)
    runs.work(run_id=run.pk, now=now)
    run.refresh_from_db()
    assert (run.state, run.page_count, run.member_count) == ("done", 3, 7)


def test_a_long_run_rests_between_tasks(now: datetime, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "STEP_SECONDS", 0.000_001)
    run = work()
    assert run.state == "running"
    assert run.pk in runs.due(now=run.due_at)


def test_a_cancelled_run_keeps_what_it_read_and_reads_no_more(
    here: Scope, actor: Actor, now: datetime, lamba: Lamba, work: Work
) -> None:
    lamba.faults = [(429, {"Retry-After": "1"}, b"")]
    run = work()
    runs.cancel(scope=here, actor=actor, public_id=run.public_id, now=now)
    asked = len(lamba.asked)
    assert work(3, run).state == "cancelled"
    assert len(lamba.asked) == asked
    with pytest.raises(Conflict):
        runs.cancel(scope=here, actor=actor, public_id=run.public_id, now=now)


def test_two_runs_at_once_are_refused(here: Scope, actor: Actor, now: datetime, access: LambaConnection) -> None:
    runs.start(scope=here, actor=actor, now=now)
    with pytest.raises(Conflict, match="already"):
        runs.start(scope=here, actor=actor, now=now)


def test_a_run_needs_access(here: Scope, actor: Actor, now: datetime) -> None:
    with pytest.raises(NotFound, match="no access"):
        runs.start(scope=here, actor=actor, now=now)


def test_the_sms_add_on_is_shown_as_lamba_says(here: Scope, lamba: Lamba, work: Work) -> None:
    work()
    found = connection.get(scope=here)
    assert (found.sms_status, found.sms_problem) == (lamba.sms, "")


def test_the_secret_is_encrypted_and_kept_by_an_empty_one(
    here: Scope, actor: Actor, now: datetime, access: LambaConnection, work: Work
) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT l::text FROM audiences_lambaconnection AS l")
        assert "s3cret" not in cursor.fetchone()[0]
    again = connection.Access(auth_url=access.auth_url, api_url=access.api_url, client_id="mgmt2", page_size=5)
    with pytest.raises(Stale):
        connection.save(scope=here, actor=actor, access=again, state_version=7, now=now)
    connection.save(scope=here, actor=actor, access=again, state_version=1, now=now)
    assert work().state == "done"
    assert not [entry for entry in AuditEntry.objects.all() if b"s3cret" in bytes(entry.canonical or b"")]


@pytest.mark.parametrize(
    ("field", "value"),
    [("auth_url", "http://10.0.0.1"), ("api_url", "ftp://x"), ("api_url", "https://api.uselamba.com/v1"),
     ("members_path", "v1"), ("members_path", "/v1?x=1"), ("cursor_parameter", "a b"), ("page_size", 0),
     ("client_id", " ")],
)  # fmt: skip
def test_wrong_access_is_refused_by_its_field(here: Scope, actor: Actor, now: datetime, field: str, value: Any) -> None:
    right = {"auth_url": "https://id.uselamba.com", "api_url": "https://api.uselamba.com", "client_id": "x"}
    given = connection.Access(**{**right, "client_secret": "y", field: value})
    with pytest.raises(Invalid) as refused:
        connection.save(scope=here, actor=actor, access=given, state_version=None, now=now)
    assert refused.value.problems[0].pointer == f"#/{field}"


def test_another_environment_sees_no_run(scope: Scope, here: Scope, work: Work) -> None:
    run = work()
    with pytest.raises(NotFound):
        runs.get(scope=scope, public_id=run.public_id)
    assert connection.find(scope=scope) is None
    assert _known(scope) == []
