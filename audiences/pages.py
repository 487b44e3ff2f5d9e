"""What this app adds to the frame of the console: menu lines, states, and answers of the find box."""

from collections.abc import Sequence

from audiences import people
from lamba_campaigns.web import navigation
from lamba_campaigns.web.navigation import Hit, Item
from lamba_campaigns.web.states import register_states
from projects.access import Access
from projects.scoping import Scope


def register_all() -> None:
    """Called once, when the app starts."""
    navigation.register(Item("people", "People", "contact", "people-list", order=35, permission="people.read"))
    navigation.register_search(find_people)
    register_states(
        {
            "checked": ("Checked", "info", "clipboard-check"),
            "done": ("Imported", "ok", "circle-check"),
            "list": ("List", "neutral", "list"),
            "lamba": ("From Lamba", "info", "webhook"),
        }
    )


def find_people(scope: Scope, access: Access, text: str) -> Sequence[Hit]:
    """People by address or user id; nothing for those who may not see people."""
    if not access.may("people.read"):
        return ()
    return [
        Hit(person.label, navigation.url_of(scope, "person-detail", person.public_id), person.email, "user", "People")
        for person in people.find(scope=scope, text=text, limit=navigation.HITS_PER_PROVIDER_MAX)
    ]
