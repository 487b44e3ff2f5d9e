"""In-app: a row in the person's inbox. Accepted means that the row is durable; there is no provider to be down."""

from collections.abc import Sequence
from datetime import datetime

from delivery import statements
from delivery.channels import ways
from delivery.channels.base import Handed, Outcome
from delivery.content import brief
from delivery.content.rendering import Content
from delivery.models import SendJob
from delivery.windows import Member
from lamba_campaigns.lib.sql import durable
from projects.scoping import Scope


class InboxWay:
    """Inserts a micro-batch at once. Handed over twice, it leaves one item: the place of the message is the key."""

    def __init__(self, scope: Scope, job: SendJob, content: Content) -> None:
        self._scope, self._job, self._brief = scope, job, brief.compile(content)

    def ready(self) -> None:
        return

    def hand_over(self, members: Sequence[Member], *, now: datetime) -> Handed:
        found = ways.pieces(scope=self._scope, job=self._job, members=members)
        made, outcomes = ways.rendered(
            found, lambda piece: self._brief.render(piece.fields, unsubscribe_url=piece.unsubscribe_url)
        )
        with durable():
            statements.count(
                "insert_inbox",
                {
                    "environment": self._scope.environment_id,
                    "job": self._job.pk,
                    "now": now,
                    "people": [piece.member.person_id for piece, _ in made],
                    "positions": [piece.member.position for piece, _ in made],
                    "titles": [note.title for _, note in made],
                    "texts": [note.text for _, note in made],
                    "htmls": [note.html for _, note in made],
                },
            )
        outcomes |= {piece.member.position: Outcome("accepted", "", "In the inbox") for piece, _ in made}
        return Handed([outcomes[member.position] for member in members])
