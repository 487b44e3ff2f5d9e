"""REST endpoints, under /api/v1/."""

from django.urls import path

from webhooks.api import endpoints, events

urlpatterns = [
    path("endpoints", endpoints.EndpointList.as_view()),
    path("endpoints/<str:endpoint>", endpoints.EndpointDetail.as_view()),
    path("endpoints/<str:endpoint>/rotate", endpoints.EndpointRotate.as_view()),
    path("endpoints/<str:endpoint>/secrets/<str:secret>", endpoints.EndpointSecret.as_view()),
    path("endpoints/<str:endpoint>/replay", endpoints.EndpointReplay.as_view()),
    path("endpoints/<str:endpoint>/test", endpoints.EndpointTest.as_view()),
    path("inbound-events", events.InboundEventList.as_view()),
    path("inbound-events/redrive", events.Redrive.as_view()),
    path("inbound-events/<str:event>", events.InboundEventDetail.as_view()),
    path("events", events.PublishedEventList.as_view()),
    path("events/<str:event>", events.PublishedEventDetail.as_view()),
    path("events/<str:event>/deliveries", events.PublishedEventDeliveries.as_view()),
    path("event-types", events.EventTypes.as_view()),
]
