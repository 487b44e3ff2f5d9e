"""Where the link in every message leads. The page itself is kept by `preferences`."""

from django.conf import settings


def link(token: str) -> str:
    """The address of the page; short, so that no relay folds the header it stands in."""
    return f"{settings.PUBLIC_URL}/u/{token}"
