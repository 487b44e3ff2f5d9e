"""One person's message, the one way there is: by the skeleton of its template, or rendered whole where that can't be.

The same job, person, token and moment give the same bytes, so that what was sent can be shown again.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from delivery import tracking
from delivery.content import mime, rendering, skeleton
from delivery.content.mime import Envelope, Letterhead
from delivery.content.rendering import Compiled, Content
from delivery.content.skeleton import Skeleton, Unusual
from delivery.models import SendJob
from delivery.tracking import Rewrite
from projects.scoping import Scope

SKELETONS_KEPT = 128


class Composer:
    """The messages of one job."""

    def __init__(self, *, content: Content, feedback_id: str, rewrite: Rewrite | None = None) -> None:
        self._template = rendering.compile(content)
        self._rewrite = rewrite  # of a tracked job: every link is the person's own, so there is no skeleton
        self._skeleton = _skeleton(self._template) if rewrite is None else None
        self._letterhead = Letterhead(content=content, feedback_id=feedback_id)

    @property
    def sender_domain(self) -> str:
        return self._letterhead.domain

    def dated(self, moment: datetime) -> bytes:
        """The Date of a micro-batch, written once for all its messages."""
        return mime.date(moment)

    def envelope(
        self,
        *,
        position: int,
        recipient: str,
        fields: Mapping[str, Any],
        token: str,
        unsubscribe_url: str,
        date: bytes,
    ) -> Envelope:
        """The whole message. RenderFailed when the template can't be filled, BadAddress when nobody can get it."""
        subject, text, html = self._parts(fields, unsubscribe_url, position)
        return self._letterhead.assemble(
            position=position,
            recipient=recipient,
            subject=subject,
            text=text,
            html=html,
            token=token,
            unsubscribe_url=unsubscribe_url,
            date=date,
        )

    def _parts(self, fields: Mapping[str, Any], unsubscribe_url: str, position: int) -> tuple[str, bytes, bytes]:
        template, filled = self._for_person(fields)
        if filled is not None:
            try:
                subject, text, html = filled.fill(fields, {"unsubscribe_url": unsubscribe_url})
            except Unusual:
                pass
            else:
                return rendering.one_line(subject), text, html
        made = template.render({"person": fields}, unsubscribe_url=unsubscribe_url)
        html_text = self._rewrite(made.html, position) if self._rewrite is not None else made.html
        return made.subject, mime.quoted_printable(made.text), mime.quoted_printable(html_text)

    def _for_person(self, fields: Mapping[str, Any]) -> tuple[Compiled, Skeleton | None]:
        """What this person reads, and its skeleton: each language of each side of a split has its own."""
        chosen = self._template.for_person(fields)
        if chosen is self._template:
            return chosen, self._skeleton
        return chosen, _skeleton(chosen) if self._rewrite is None else None


def composer_of(*, scope: Scope, job: SendJob) -> Composer:
    """The composer of a job's mail: whenever it is asked for, it makes the same bytes."""
    feedback_id = f"{job.public_id}:{scope.project}:{job.channel}:lamba"
    rewrite = tracking.rewriter(scope=scope, job=job)
    return Composer(content=Content(**job.content), feedback_id=feedback_id, rewrite=rewrite)


@lru_cache(maxsize=SKELETONS_KEPT)
def _skeleton(template: Compiled) -> Skeleton | None:
    return skeleton.build(subject=template.subject, html=template.html, text=template.text)
