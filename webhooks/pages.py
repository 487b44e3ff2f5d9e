"""What this app adds to the console's frame: its menu line, the look of its states, and the find box by id."""

from collections.abc import Sequence

from lamba_campaigns.web import navigation
from lamba_campaigns.web.navigation import Hit, Item
from lamba_campaigns.web.states import register_states
from projects.access import Access
from projects.scoping import Scope
from webhooks.models import Endpoint, InboundEvent, OutboxEvent


def register_all() -> None:
    """Called once, when the app is ready."""
    navigation.register(
        Item(
            key="events",
            label="Events",
            icon="webhook",
            url_name="event-list",
            section="evidence",
            order=20,
            permission="events.read",
            shortcut="g e",
        )
    )
    navigation.register_search(find)
    register_states(
        {
            "skipped": ("Skipped", "neutral", "circle-slash"),
            "retired": ("Deleted", "neutral", "trash-2"),
        }
    )


def find(scope: Scope, access: Access, text: str) -> Sequence[Hit]:
    """An event or endpoint by its exact id."""
    if not access.may("events.read"):
        return []
    hits = [
        Hit(
            row.type or "Event", navigation.url_of(scope, "event-detail", row.event_id), row.event_id, "inbox", "Events"
        )
        for row in InboundEvent.objects.within(scope).filter(event_id=text).only("event_id", "type")
    ]
    hits += [
        Hit(row.type, navigation.url_of(scope, "outbox-detail", row.public_id), row.public_id, "send", "Events")
        for row in OutboxEvent.objects.within(scope).filter(public_id=text).only("public_id", "type")
    ]
    hits += [
        Hit(row.name, navigation.url_of(scope, "endpoint-detail", row.public_id), row.public_id, "webhook", "Endpoints")
        for row in Endpoint.objects.within(scope).filter(public_id=text).exclude(status="retired")
    ]
    return hits
