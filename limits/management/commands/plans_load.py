"""`manage.py plans_load catalogue.yaml`: publish versions of the catalogue. Loading a file again changes nothing."""

from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.lib.sql import durable
from limits import publishing
from projects.scoping import Actor

FILE_BYTES_MAX = 1_000_000


class Command(BaseCommand):
    help = "Publish the versions of a catalogue of plans and add-ons. What is published never changes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="YAML; limits/catalogue.yaml of the product is an example")
        parser.add_argument("--by", default="operator", help="who publishes, for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = Actor("system", "operator", options["by"], "system")
        try:
            with durable():
                loaded = publishing.publish(file=_read(options["file"]), actor=actor, now=timezone.now())
        except DomainError as refusal:
            raise CommandError(f"{refusal.detail} {refusal.next_step}") from refusal
        for said, versions in (("published", loaded.published), ("unchanged", loaded.unchanged)):
            for version in versions:
                self.stdout.write(f"{version} {said}")


def _read(path: Path) -> Any:
    try:
        text = path.read_bytes()
        if len(text) > FILE_BYTES_MAX:
            raise CommandError(f"{path} is larger than {FILE_BYTES_MAX:,} bytes.")
        return yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as problem:
        raise CommandError(f"{path} can't be read: {problem}") from problem
