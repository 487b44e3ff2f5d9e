"""manage.py snapshot_verify: read the members of snapshots again and compare them with what was frozen."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audiences import snapshot
from audiences.models import Snapshot
from projects.access import scope_by_id


class Command(BaseCommand):
    help = "Verify counts, positions, scope and digest of snapshots. Exits 1 and names every snapshot that differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("snapshots", nargs="*", metavar="snp_…", help="Only these. Without any: all.")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = Snapshot.objects.across_environments("a check serves every environment").order_by("id")
        if options["snapshots"]:
            rows = rows.filter(public_id__in=options["snapshots"])
            missing = set(options["snapshots"]) - set(rows.values_list("public_id", flat=True))
            if missing:
                raise CommandError(f"There is no snapshot {', '.join(sorted(missing))}.")
        broken = 0
        for row in rows.iterator(chunk_size=100):
            found = snapshot.verify(scope=scope_by_id(row.environment_id), snapshot=row)
            broken += bool(found.problems)
            verdict = "; ".join(found.problems) or "ok"
            self.stdout.write(f"{row.public_id}  {found.members:>10,} members  {verdict}")
        if broken:
            raise CommandError(f"{broken} snapshots are not what was frozen.")
