"""Addresses in mail: no sign-in, no scope in the path; the token says whose they are."""

from django.urls import path

from delivery import sms_callback
from delivery.api import inbox
from delivery.views import public, tracking

urlpatterns = [
    path("u/<str:token>", public.unsubscribe, name="unsubscribe"),
    path("c/<str:sealed>", tracking.click, name="tracked-link"),
    path("o/<str:token>", tracking.pixel, name="tracked-open"),
    path("api/v1/sms/<str:connection>/<str:token>", sms_callback.receive, name="sms-callback"),
    path("api/v1/inbox", inbox.Inbox.as_view()),
    path("api/v1/inbox/read", inbox.InboxRead.as_view()),
    path("api/v1/inbox/archive", inbox.InboxArchive.as_view()),
    path("api/v1/inbox/unread", inbox.InboxUnread.as_view()),
    path("api/v1/inbox/stream", inbox.InboxStream.as_view()),
]
