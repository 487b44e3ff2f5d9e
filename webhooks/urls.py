"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import path

from webhooks.views import catalogue, dead_letters, endpoints, events, versions

urlpatterns = [
    path("events/", events.inbox, name="event-list"),
    path("events/dead-letters/", dead_letters.dead_letters_list, name="dead-letter-list"),
    path("events/dead-letters/rehearse/", dead_letters.rehearsed, name="dead-letter-rehearse"),
    path("events/dead-letters/redrive/", dead_letters.redriven, name="dead-letter-redrive"),
    path("events/received/<str:event>/", events.received, name="event-detail"),
    path("events/received/<str:event>/redrive/", events.redrive_one, name="event-redrive"),
    path("events/sent/", events.outbox, name="outbox-list"),
    path("events/sent/<str:event>/", events.published, name="outbox-detail"),
    path("events/sent/<str:event>/deliveries/<str:delivery>/", events.resend_one, name="delivery-resend"),
    path("events/catalogue/", catalogue.event_types, name="event-types"),
    path("events/catalogue/<str:type>/", catalogue.event_type, name="event-type"),
    path("endpoints/", endpoints.endpoint_list, name="endpoint-list"),
    path("endpoints/new/receive/", endpoints.new_inbound, name="endpoint-new-in"),
    path("endpoints/new/send/", endpoints.new_outbound, name="endpoint-new-out"),
    path("endpoints/<str:endpoint>/", endpoints.endpoint_detail, name="endpoint-detail"),
    path("endpoints/<str:endpoint>/edit/", endpoints.endpoint_edit, name="endpoint-edit"),
    path("endpoints/<str:endpoint>/version/", versions.endpoint_version, name="endpoint-version"),
    path("endpoints/<str:endpoint>/switch/", endpoints.endpoint_switch, name="endpoint-switch"),
    path("endpoints/<str:endpoint>/delete/", endpoints.endpoint_delete, name="endpoint-delete"),
    path("endpoints/<str:endpoint>/rotate/", endpoints.endpoint_rotate, name="endpoint-rotate"),
    path("endpoints/<str:endpoint>/secrets/<str:secret>/end/", endpoints.secret_end, name="secret-end"),
    path("endpoints/<str:endpoint>/replay/", endpoints.endpoint_replay, name="endpoint-replay"),
    path("endpoints/<str:endpoint>/test/", endpoints.endpoint_test, name="endpoint-test"),
]
