"""Who is signed in, with what they chose for the console: every page needs both, in one query."""

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User


class ConsoleBackend(ModelBackend):
    """Django's own check of passwords; a session's user comes with their preference."""

    def get_user(self, user_id: int) -> User | None:
        found = User.objects.select_related("preference").filter(pk=user_id).first()
        return found if found is not None and self.user_can_authenticate(found) else None
