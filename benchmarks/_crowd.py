"""Makes a demo big: people, campaigns and messages copied from ones that are really there, by set-based statements."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection

FIRST_ID = 1_000_000_000  # copies are numbered from here, far from what the demo made
EPOCH_DAYS = 300  # the copies are spread over so many days


@dataclass(frozen=True, slots=True)
class Crowd:
    """What was copied, and the campaign that holds the most messages."""

    people: int
    campaigns: int
    messages: int
    largest_campaign: str


def enlarge(*, environment_id: int, campaign_id: int, job_id: int, snapshot_id: int, people: int) -> Crowd:
    """`people` more people; campaigns and messages in proportion: 2,000 and five million for a million people."""
    campaigns = max(people // 500, 1)
    each = max(4 * people // campaigns, 1)
    _copy_people(environment_id, people)
    _copy("audiences_snapshot", f"id = {snapshot_id}", campaigns, {"purpose": "'copy:' || n", "public_id": _id("snp")})
    _copy(
        "delivery_sendjob",
        f"id = {job_id}",
        campaigns,
        {"public_id": _id("job"), "subject": _id("cmp"), "snapshot_id": _number("n")},
    )
    total = f"CASE WHEN n = 1 THEN {people} ELSE {each} END"
    counts = {"planned": total, "delivered": total} | dict.fromkeys(
        ("excluded", "pending", "uncertain", "accepted", "deferred", "bounced", "rejected", "failed", "cancelled"), "0"
    )
    _copy("delivery_jobcounters", f"job_id = {job_id}", campaigns, {"job_id": _number("n"), **counts})
    _copy(
        "campaigns_campaign",
        f"id = {campaign_id}",
        campaigns,
        {
            "public_id": _id("cmp"),
            "name": "name || ' ' || n",
            "job_id": _number("n"),
            "snapshot_id": _number("n"),
            "created_at": f"created_at - make_interval(hours => (n * 7) % ({EPOCH_DAYS} * 24))",
        },
    )
    _copy(
        "audit_book",
        f"job_id = {job_id}",
        campaigns,
        {"public_id": _id("bok"), "job_id": _number("n"), "subject": _id("cmp"), "planned": total},
    )
    _copy_messages(job_id, campaigns, people, each)
    _run("ANALYZE")
    return Crowd(people, campaigns, people + (campaigns - 1) * each, f"cmp_{1:026d}")


def _copy_people(environment_id: int, people: int) -> None:
    _copy(
        "audiences_person",
        f"environment_id = {environment_id}",
        people,
        {
            "public_id": _id("per"),
            "external_id": "'copy-' || n",
            "email": "'person' || n || '@example.com'",
            "created_at": f"created_at - make_interval(mins => n % ({EPOCH_DAYS} * 1440))",
        },
    )
    _copy(
        "audiences_personfacts",
        f"environment_id = {environment_id}",
        people,
        {"person_id": _number("n"), "last_session_at": f"now() - make_interval(mins => n % ({EPOCH_DAYS} * 1440))"},
    )


def _copy_messages(job_id: int, campaigns: int, people: int, each: int) -> None:
    """All of them delivered: a million in the first copy, the rest in equal parts."""
    source = f"job_id = {job_id} AND settled_at IS NOT NULL"
    _copy(
        "delivery_message",
        source,
        people,
        {"job_id": str(FIRST_ID + 1), "position": "n", "person_id": _number("n")},
    )
    if campaigns > 1:
        number = f"(2 + (n - 1) / {each})"
        _copy(
            "delivery_message",
            source,
            (campaigns - 1) * each,
            {
                "job_id": _number(number),
                "position": f"(1 + (n - 1) % {each})",
                "person_id": _number(f"(1 + n % {people})"),
            },
        )


def _copy(table: str, where: str, times: int, changed: Mapping[str, str]) -> None:
    """`times` copies of the one row, the n-th with these columns as expressions over n."""
    columns = _columns(table)
    if "id" in columns:
        changed = {"id": _number("n"), **changed}
    values = ", ".join(changed.get(name, f'source."{name}"') for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    _run(
        f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE"
        f" SELECT {values} FROM (SELECT * FROM {table} WHERE {where} LIMIT 1) source, generate_series(1, {times}) n"
    )


def _columns(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = %s AND is_generated = 'NEVER'",
            [table],
        )
        return [name for (name,) in cursor.fetchall()]


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _number(n: str) -> str:
    return f"({FIRST_ID} + {n})"


def _id(prefix: str) -> str:
    return f"'{prefix}_' || lpad(n::text, 26, '0')"
