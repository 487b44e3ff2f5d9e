"""What audiences add to the frame of the console: a menu line and answers of the find box."""

from collections.abc import Sequence

from django.db.models import QuerySet

from audiences.models import Audience
from lamba_campaigns.web import navigation
from lamba_campaigns.web.navigation import Hit, Item
from projects.access import Access
from projects.scoping import Scope


def register_all() -> None:
    """Called once, when the app starts."""
    navigation.register(
        Item("audiences", "Audiences", "users", "audience-list", order=30, shortcut="g a", counted=counted_audiences)
    )
    navigation.register_search(find_audiences)


def counted_audiences(scope: Scope) -> QuerySet[Audience]:
    return Audience.objects.within(scope).filter(deleted_at=None)


def find_audiences(scope: Scope, access: Access, text: str) -> Sequence[Hit]:
    """Live audiences whose name holds the text."""
    found = Audience.objects.within(scope).filter(deleted_at=None, name__icontains=text).order_by("-updated_at")
    return [
        Hit(
            row.name,
            navigation.url_of(scope, "audience-detail", row.public_id),
            f"v{row.version}",
            "users",
            "Audiences",
        )
        for row in found[: navigation.HITS_PER_PROVIDER_MAX]
    ]
