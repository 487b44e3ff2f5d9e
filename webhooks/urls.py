"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import path

from webhooks import catalogue_pages, dead_letter_pages, endpoint_pages, version_pages, views

urlpatterns = [
    path("events/", views.inbox, name="event-list"),
    path("events/dead-letters/", dead_letter_pages.dead_letters_list, name="dead-letter-list"),
    path("events/dead-letters/rehearse/", dead_letter_pages.rehearsed, name="dead-letter-rehearse"),
    path("events/dead-letters/redrive/", dead_letter_pages.redriven, name="dead-letter-redrive"),
    path("events/received/<str:event>/", views.received, name="event-detail"),
    path("events/received/<str:event>/redrive/", views.redrive_one, name="event-redrive"),
    path("events/sent/", views.outbox, name="outbox-list"),
    path("events/sent/<str:event>/", views.published, name="outbox-detail"),
    path("events/sent/<str:event>/deliveries/<str:delivery>/", views.resend_one, name="delivery-resend"),
    path("events/catalogue/", catalogue_pages.event_types, name="event-types"),
    path("events/catalogue/<str:type>/", catalogue_pages.event_type, name="event-type"),
    path("endpoints/", endpoint_pages.endpoint_list, name="endpoint-list"),
    path("endpoints/new/receive/", endpoint_pages.new_inbound, name="endpoint-new-in"),
    path("endpoints/new/send/", endpoint_pages.new_outbound, name="endpoint-new-out"),
    path("endpoints/<str:endpoint>/", endpoint_pages.endpoint_detail, name="endpoint-detail"),
    path("endpoints/<str:endpoint>/edit/", endpoint_pages.endpoint_edit, name="endpoint-edit"),
    path("endpoints/<str:endpoint>/version/", version_pages.endpoint_version, name="endpoint-version"),
    path("endpoints/<str:endpoint>/switch/", endpoint_pages.endpoint_switch, name="endpoint-switch"),
    path("endpoints/<str:endpoint>/delete/", endpoint_pages.endpoint_delete, name="endpoint-delete"),
    path("endpoints/<str:endpoint>/rotate/", endpoint_pages.endpoint_rotate, name="endpoint-rotate"),
    path("endpoints/<str:endpoint>/secrets/<str:secret>/end/", endpoint_pages.secret_end, name="secret-end"),
    path("endpoints/<str:endpoint>/replay/", endpoint_pages.endpoint_replay, name="endpoint-replay"),
    path("endpoints/<str:endpoint>/test/", endpoint_pages.endpoint_test, name="endpoint-test"),
]
