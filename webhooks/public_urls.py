"""The receiver's address, outside every login: what Lamba and mail providers post to."""

from django.urls import path

from webhooks import receiver

urlpatterns = [path("api/lamba/webhooks/<str:endpoint>", receiver.receive, name="webhook-receiver")]
