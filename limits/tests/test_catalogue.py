"""Published versions: checked as a whole, never changed, in force from the next period on."""

import copy
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.lib.errors import Invalid
from limits import agreements, catalogue, entitlements, publishing, sheets, subscriptions
from limits.models import PlanCatalogue, Subscription
from limits.publishing import BeginsTooEarly, LosesPlans, VersionPublished
from limits.reservations import PlanLimitExceeded
from limits.tests.conftest import Reserve
from projects.scoping import SYSTEM, Scope

pytestmark = pytest.mark.django_db
SHIPPED = yaml.safe_load((Path(__file__).parents[1] / "catalogue.yaml").read_text())
DECEMBER, JANUARY = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def version(name: str, begins: date, volume: int = 7_000) -> dict[str, Any]:
    """A file with one version, in which the free plan has `volume` messages."""
    file: dict[str, Any] = copy.deepcopy(SHIPPED)
    file["source"] = "Price list of the test"
    sheet = file["catalogues"][0]
    sheet["version"], sheet["effective_from"] = name, begins
    sheet["plans"][0]["limits"]["included_email_volume"] = volume
    return file


def publish(file: Any, now: datetime) -> publishing.Loaded:
    with transaction.atomic():
        return publishing.publish(file=file, actor=SYSTEM, now=now)


def volume_at(scope: Scope, at: datetime) -> int | None:
    return entitlements.effective(scope=scope, at=at).limits["included_email_volume"]


def test_a_version_counts_from_the_first_period_that_begins_under_it(scope: Scope, now: datetime) -> None:
    assert publish(version("2026-12", date(2026, 11, 25)), now).published == ("2026-12",)

    before_it_begins = datetime(2026, 11, 24, tzinfo=UTC)
    in_the_same_period = datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert [volume_at(scope, at) for at in (before_it_begins, in_the_same_period, DECEMBER)] == [1_000, 1_000, 7_000]
    found = entitlements.effective(scope=scope, at=DECEMBER).catalogue
    assert (found.version, found.source) == ("2026-12", "Price list of the test")


def test_loading_again_changes_nothing_and_publishing_is_audited(now: datetime) -> None:
    file = version("2026-12", date(2026, 12, 1))
    publish(file, now)
    assert publish(file, now) == publishing.Loaded((), ("2026-12",))

    [entry] = AuditEntry.objects.filter(action="catalogue.published")
    assert entry.environment_id is None and entry.subject_id == "2026-12"
    assert PlanCatalogue.objects.count() == 1


def test_a_published_version_refuses_another_content(now: datetime) -> None:
    publish(version("2026-12", date(2026, 12, 1)), now)
    with pytest.raises(VersionPublished):
        publish(version("2026-12", date(2026, 12, 1), volume=9), now)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE limits_plancatalogue SET content = '{}'")


def test_all_versions_of_a_file_are_published_or_none(scope: Scope, now: datetime) -> None:
    file = version("a", date(2026, 12, 1), 7_000)
    file["catalogues"] += version("b", date(2027, 1, 1), 8_000)["catalogues"]
    assert publish(file, now).published == ("a", "b")
    assert [volume_at(scope, at) for at in (DECEMBER, JANUARY)] == [7_000, 8_000]

    file["catalogues"] += version("c", date(2026, 12, 15))["catalogues"]
    with pytest.raises(BeginsTooEarly):
        publish(file, now)
    assert PlanCatalogue.objects.count() == 2


def test_the_first_version_may_have_begun_and_a_later_one_may_not(scope: Scope, now: datetime) -> None:
    publish(version("a", date(2026, 1, 1)), now)
    assert volume_at(scope, now) == 7_000
    with pytest.raises(BeginsTooEarly, match="1 November"):
        publish(version("b", date(2026, 11, 1)), now)


def test_a_version_keeps_every_plan_and_add_on_that_somebody_has(
    growth: Subscription, scope: Scope, now: datetime
) -> None:
    with transaction.atomic():
        subscriptions.add_add_on(scope=scope, actor=SYSTEM, sku="sms", quantity=1, now=now)
    file = version("2026-12", date(2026, 12, 1))
    sheet = file["catalogues"][0]
    sheet["plans"] = [plan for plan in sheet["plans"] if plan["id"] == "starter"]
    sheet["add_ons"] = [add_on | {"plans": ["starter"]} for add_on in sheet["add_ons"] if add_on["sku"] == "email_10k"]
    with pytest.raises(LosesPlans, match="free, growth, sms"):
        publish(file, now)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda sheet: sheet["plans"][1]["limits"].pop("templates"), "#/catalogues/0/plans/1/limits"),
        (lambda sheet: sheet["plans"][1]["limits"].update(templates=-1), "#/catalogues/0/plans/1/limits/templates"),
        (lambda sheet: sheet["plans"][0].update(price=29), "#/catalogues/0/plans/0/price"),
        (lambda sheet: sheet["plans"][0]["overage"].update(policy="maybe"), "#/catalogues/0/plans/0/overage/policy"),
        (lambda sheet: sheet["plans"][0].update(overage={"policy": "grace"}), "#/catalogues/0/plans/0/overage"),
        (lambda sheet: sheet["plans"][0]["channels"].append("fax"), "#/catalogues/0/plans/0/channels"),
        (lambda sheet: sheet["add_ons"][0].update(plans=["gold"]), "#/catalogues/0/add_ons/0/plans"),
        (lambda sheet: sheet["add_ons"][0].update(adds={}), "#/catalogues/0/add_ons/0"),
        (lambda sheet: sheet.update(effective_from="2026-12-01"), "#/catalogues/0/effective_from"),
        (lambda sheet: sheet["plans"].append(sheet["plans"][0]), "#/catalogues/0"),
        (lambda sheet: sheet.update(version=7), "#/catalogues/0/version"),
        (lambda sheet: sheet.update(note="x"), "#/catalogues/0"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_with_its_place(change: Any, pointer: str) -> None:
    file = version("2026-12", date(2026, 12, 1))
    change(file["catalogues"][0])
    with pytest.raises(Invalid) as refused:
        sheets.split(file)
    assert pointer in [problem.pointer for problem in refused.value.problems]


@pytest.mark.parametrize("file", [None, [], {}, {"source": "", "currency": "USD", "catalogues": []}])
def test_a_file_that_is_no_catalogue_is_refused(file: Any) -> None:
    with pytest.raises(Invalid, match="no catalogue"):
        sheets.split(file)


def test_the_command_says_what_it_did(tmp_path: Path, now: datetime) -> None:
    file, out = tmp_path / "plans.yaml", StringIO()
    file.write_text(yaml.safe_dump(version("2099", date(2099, 1, 1))))
    call_command("plans_load", str(file), stdout=out)
    call_command("plans_load", str(file), stdout=out)
    assert out.getvalue() == "2099 published\n2099 unchanged\n"

    file.write_text("plans: [")
    with pytest.raises(CommandError, match="can't be read"):
        call_command("plans_load", str(file))
    assert catalogue.at(datetime(2099, 1, 1, tzinfo=UTC)).version == "2099"


# --- what was agreed with one workspace -----------------------------------------------------------------------------
def agree(scope: Scope, now: datetime, *words: str) -> dict[str, Any]:
    with transaction.atomic():
        return agreements.agree(
            workspace_id=scope.workspace_id, terms=agreements.read(words), actor=SYSTEM, reason="contract 7", now=now
        )


def test_agreed_limits_count_at_once_and_are_audited(growth: Subscription, scope: Scope, now: datetime) -> None:
    agree(scope, now, "included_email_volume=250000", "templates=none")

    found = entitlements.effective(scope=scope, at=now)
    assert (found.limits["included_email_volume"], found.limits["templates"]) == (250_000, None)
    assert (found.plan_id, found.limits["active_campaigns"]) == ("growth", 5)
    entry = AuditEntry.objects.get(action="limit.overridden")
    assert (entry.workspace_public_id, entry.reason) == (scope.workspace, "contract 7")


def test_an_agreement_can_be_taken_back(growth: Subscription, scope: Scope, now: datetime) -> None:
    agree(scope, now, "included_email_volume=250000", "templates=9")
    later = now.replace(hour=11)
    assert agree(scope, later, "included_email_volume=plan") == {"templates": 9}
    assert volume_at(scope, later) == 100_000


def test_grace_forgives_a_percentage_once_per_period(
    growth: Subscription, scope: Scope, reserve: Reserve, now: datetime
) -> None:
    agree(scope, now, "included_email_volume=1000", "overage=grace:10")

    assert reserve("launch:cmp_1", included_email_volume=990).grace_quantity == 0
    forgiven = reserve("launch:cmp_2", included_email_volume=60)
    assert (forgiven.grace_quantity, forgiven.overage_quantity) == (50, 0)
    assert reserve("launch:cmp_3", included_email_volume=50).grace_quantity == 50
    with pytest.raises(PlanLimitExceeded) as refused:
        reserve("launch:cmp_4", included_email_volume=1)
    assert "accept_overage" not in [way["kind"] for way in refused.value.extra["remedies"]]
    assert AuditEntry.objects.filter(action="limit.grace_used").count() == 2
    assert reserve("launch:cmp_5", included_email_volume=1_100, at=DECEMBER).grace_quantity == 100


@pytest.mark.parametrize(
    "word", ["volume=5", "templates=-1", "templates=many", "overage=maybe", "overage=grace:0", "overage=allow:5:x"]
)
def test_terms_that_make_no_sense_are_refused(scope: Scope, now: datetime, word: str) -> None:
    with pytest.raises(Invalid):
        agree(scope, now, word)
    assert not Subscription.objects.exists()


def test_the_command_agrees(world: World, growth: Subscription) -> None:
    out = StringIO()
    call_command("limits_agree", "acme", "templates=none", "overage=allow:500:0.70", "--by", "Dana", stdout=out)
    assert "templates no limit" in out.getvalue()
    assert AuditEntry.objects.get(action="limit.overridden").label.actor_label == "Dana"
    with pytest.raises(CommandError, match="no workspace"):
        call_command("limits_agree", "nobody", "templates=1")
    with pytest.raises(CommandError, match="There is no limit"):
        call_command("limits_agree", "acme", "x=1")
    with pytest.raises(CommandError, match=r"'allow:5' is no overage\. Use block, allow:CAP:PRICE"):
        call_command("limits_agree", "acme", "overage=allow:5")


def test_a_new_plan_ends_what_was_agreed(growth: Subscription, scope: Scope, now: datetime) -> None:
    agree(scope, now, "included_email_volume=250000")
    with transaction.atomic():
        subscriptions.change_plan(scope=scope, actor=SYSTEM, plan="scale", now=now.replace(hour=12))
    assert volume_at(scope, now.replace(hour=13)) == 1_000_000
