"""`manage.py create_workspace acme --name Acme --owner mara@acme.example`: the first step on a new installation."""

import json
from argparse import ArgumentTypeError
from secrets import token_urlsafe
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from campaigns import provisioning
from lamba_campaigns.lib.errors import DomainError
from projects.models import Workspace


class Command(BaseCommand):
    help = "Create a workspace with a project, both environments, an owner, a plan, API keys and webhook endpoints."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", type=_slug, help="its name in addresses, such as acme")
        parser.add_argument("--name", required=True)
        parser.add_argument("--project", default="App", help="name of the first project")
        parser.add_argument("--workspace-id", help="Lamba's id of the workspace, wrk_…; it can't be changed later")
        parser.add_argument("--project-id", help="Lamba's id of the project, prj_…; it can't be changed later")
        parser.add_argument("--owner", required=True, help="e-mail address; a new person gets a password, shown once")
        parser.add_argument("--plan", default="free")
        parser.add_argument("--time-zone", type=_time_zone, default="UTC")

    def handle(self, *args: Any, **options: Any) -> None:
        owner, password = _owner(options["owner"])
        try:
            opened = provisioning.create_workspace(
                name=options["name"],
                slug=options["slug"],
                project_name=options["project"],
                owner=owner,
                plan=options["plan"],
                time_zone=options["time_zone"],
                now=timezone.now(),
                lamba=provisioning.LambaIds(options["workspace_id"], options["project_id"]),
            )
        except DomainError as refusal:
            if password is not None:
                owner.delete()  # nobody has seen this password, so the next attempt makes a new one
            raise CommandError(f"{refusal.detail} {refusal.next_step}") from refusal
        environments = {name: _shown(each) for name, each in opened.items()}
        self.stdout.write(
            json.dumps({"owner": owner.email, "password": password, "environments": environments}, indent=2)
        )


def _slug(text: str) -> str:
    try:
        Workspace._meta.get_field("slug").run_validators(text)
    except ValidationError as problem:
        raise ArgumentTypeError(f"{text!r}: {' '.join(problem.messages)}") from None
    return text


def _time_zone(text: str) -> str:
    if text not in available_timezones():
        raise ArgumentTypeError(f"there is no time zone {text!r}; one is Europe/Berlin")
    return text


def _shown(opened: provisioning.Opened) -> dict[str, str]:
    receiver = f"{settings.INGEST_URL}/api/lamba/webhooks"
    return {
        "workspace": opened.scope.workspace,
        "project": opened.scope.project,
        "apiKey": opened.api_key,
        "lambaEndpoint": f"{receiver}/{opened.lamba_endpoint}",
        "lambaSecret": opened.lamba_secret,
        "providerEndpoint": f"{receiver}/{opened.provider_endpoint}",
        "providerSecret": opened.provider_secret,
    }


def _owner(email: str) -> tuple[User, str | None]:
    """The person with this address; a new one comes with a random password."""
    found = User.objects.filter(username=email.lower()).first()
    if found is not None:
        return found, None
    password = token_urlsafe(12)
    return User.objects.create_user(email.lower(), email.lower(), password), password
