"""`manage.py limits_agree acme included_email_volume=250000 overage=grace:10`: limits that differ from the plan's."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.lib.sql import durable
from limits import agreements
from projects.models import Workspace
from projects.scoping import Actor


class Command(BaseCommand):
    help = (
        "Agree limits with one workspace: a number, `none` for no limit, or `plan` for what the plan says. "
        "overage=block, overage=allow:CAP:PRICE_PER_THOUSAND or overage=grace:PERCENT. "
        "They count at once and until the workspace changes its plan."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workspace", help="its name in addresses, such as acme")
        parser.add_argument("terms", nargs="+", metavar="LIMIT=VALUE")
        parser.add_argument("--reason", default="", help="for the audit trail")
        parser.add_argument("--by", default="operator", help="who agreed, for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = Workspace.objects.filter(slug=options["workspace"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.")
        actor = Actor("system", "operator", options["by"], "system")
        try:
            with durable():
                agreed = agreements.agree(
                    workspace_id=workspace.pk,
                    terms=agreements.read(options["terms"]),
                    actor=actor,
                    reason=options["reason"],
                    now=timezone.now(),
                )
        except DomainError as refusal:
            raise CommandError(f"{refusal.detail} {refusal.next_step}") from refusal
        for key, value in agreed.items():
            self.stdout.write(f"{key} {'no limit' if value is None else value}")
