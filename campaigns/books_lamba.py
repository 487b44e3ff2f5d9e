"""Which campaign of ours Lamba's campaign.sent speaks of. Its payload is undocumented, so every id in it is asked.

All that is recognised must agree. What names nothing of ours, or two things at once, is Unmatched: it parks as it came
and reconciliation counts it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from audiences import facts
from campaigns.models import Campaign
from delivery import tokens
from delivery.models import Message
from projects.scoping import Scope
from webhooks.registry import Event, Unmatched

OWN_IDS: Final = ("cmp_", "job_")
RECIPIENTS_ASKED_MAX: Final = 50
SENT_WITHIN: Final = timedelta(days=7)  # between a message and an event that names its recipient alone
TOTALS: Final = ("sent", "recipients", "accepted", "total", "count")  # how it may call the number of hand-offs
_CAMPAIGN: Final = ("campaignId", "campaign")
_JOB: Final = ("jobId", "job", "sendId")
_MESSAGES: Final = ("messageId", "messageIds", "messages", "items")
_RECIPIENTS: Final = ("userId", "userIds", "recipientId", "recipientIds", "recipient", "recipients", "items")
_NAMES: Final = ("campaignName", "name", "campaign")


def campaign_of(*, scope: Scope, event: Event) -> Campaign:
    """The launched campaign that everything recognised in this event names. Raises Unmatched."""
    found: dict[int, Campaign] = {}
    for named in _named(scope, event):
        found |= {each.pk: each for each in named}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise Unmatched(f"it speaks of {len(found)} campaigns at once: {_words(found.values())}.")
    raise Unmatched(f"nothing in it names a launched campaign of {scope.path}; its fields are {_fields(event.data)}.")


def total_of(data: Mapping[str, Any]) -> int | None:
    """How many messages it says were handed over; None when it does not say."""
    told = [data.get(name) for name in TOTALS]
    number = next((each for each in told if type(each) is int and each >= 0), None)
    if number is None and isinstance(data.get("recipients"), list):
        return len(data["recipients"])
    return number


def _named(scope: Scope, event: Event) -> Iterator[Sequence[Campaign]]:
    """The campaigns that each kind of id names; the name counts only where no id was recognised."""
    launched = Campaign.objects.within(scope).filter(job__isnull=False)
    data, recognised = event.data, False
    own = [text for text in _texts(data, *_CAMPAIGN, *_JOB) if text.startswith(OWN_IDS)]
    jobs = {place.job_id for place in _places(scope, data)}
    asked = (
        launched.filter(public_id__in=own) | launched.filter(job__public_id__in=own) if own else None,
        launched.filter(job_id__in=jobs) if jobs else None,
    )
    for rows in asked:
        if rows is not None:
            recognised = True
            yield list(rows)
    if not recognised:
        names = _texts(data, *_NAMES, key="name")
        by_name = list(launched.filter(name__in=names)[:2]) if names else []
        yield by_name or _sent_to(scope, event)


def _places(scope: Scope, data: Mapping[str, Any]) -> Iterator[tokens.Reference]:
    for text in _texts(data, *_MESSAGES, key="messageId"):
        place = tokens.read_message_id(text)
        if place is not None and place.environment_id == scope.environment_id:
            yield place


def _sent_to(scope: Scope, event: Event) -> Sequence[Campaign]:
    """Those whose messages went to every one of these recipients, around the time of the event."""
    users = _texts(event.data, *_RECIPIENTS, key="userId")[:RECIPIENTS_ASKED_MAX]
    if not users:
        return []
    messages = Message.objects.filter(
        environment_id=scope.environment_id,
        person_id__in=list(facts.find_people(scope=scope, external_ids=users).values()),
        last_event_at__range=(event.occurred_at - SENT_WITHIN, event.occurred_at + SENT_WITHIN),
    )
    people: dict[int, set[int]] = {}
    for job_id, person_id in messages.values_list("job_id", "person_id"):
        people.setdefault(job_id, set()).add(person_id)
    whole = [job_id for job_id, got in people.items() if len(got) == len(set(users))]
    return list(Campaign.objects.within(scope).filter(job_id__in=whole))


def _texts(data: Mapping[str, Any], *names: str, key: str = "id") -> list[str]:
    """Every text under these names: itself, in a list, or under `key` of an object."""
    found: list[str] = []
    for name in names:
        value = data.get(name)
        for each in value if isinstance(value, list) else [value]:
            text = each.get(key) if isinstance(each, Mapping) else each
            if isinstance(text, str) and text and text not in found:
                found.append(text)
    return found


def _words(found: Any) -> str:
    return ", ".join(sorted(each.name for each in found))


def _fields(data: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, data)))[:200] or "none"
