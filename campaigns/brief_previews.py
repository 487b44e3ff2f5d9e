"""A message as the channels without a mail layout carry it, and what it costs as SMS."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from delivery.content import brief, rendering, segments
from delivery.content.segments import Size


@dataclass(frozen=True, slots=True)
class BriefPreview:
    """In-app and webhook carry title, text and HTML; SMS the text alone, in so many segments."""

    title: str
    text: str
    html: str
    sms: Size

    def as_json(self) -> dict[str, Any]:
        size = {"encoding": self.sms.encoding, "units": self.sms.units, "segments": self.sms.segments}
        return {"title": self.title, "text": self.text, "html": self.html, "sms": size}


def of(content: rendering.Content, fields: Mapping[str, Any], *, unsubscribe_url: str) -> BriefPreview:
    """Empty where the message can't be read or filled: the problems of the preview say why."""
    try:
        note = brief.compile(content).render(fields, unsubscribe_url=unsubscribe_url)
    except rendering.RenderFailed:
        note = brief.Note("", "", "")
    return BriefPreview(note.title, note.text, note.html, segments.size(note.text))
