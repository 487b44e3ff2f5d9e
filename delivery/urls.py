"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import path

from delivery import channel_views, consent_views, defaults_views, sent_views, suppression_views, views

urlpatterns = [
    path("jobs/<str:job>/messages/", views.job_messages, name="job-messages"),
    path("jobs/<str:job>/messages/<int:position>/", sent_views.message_sent, name="message-sent"),
    path("jobs/<str:job>/messages/<int:position>/body/", sent_views.message_body, name="message-body"),
    path("jobs/<str:job>/messages/<int:position>/source.eml", sent_views.message_source, name="message-source"),
    path("jobs/<str:job>/resolve/", views.job_resolve, name="job-resolve"),
    path("jobs/<str:job>/retry/", views.job_retry, name="job-retry"),
    path("jobs/<str:job>/wake/", views.job_wake, name="job-wake"),
    path("captured/", views.captured_list, name="captured-list"),
    path("captured/<str:mail>/", views.captured_detail, name="captured-detail"),
    path("captured/<str:mail>/body/", views.captured_body, name="captured-body"),
    path("suppressions/", suppression_views.suppression_list, name="suppression-list"),
    path("suppressions/import/", suppression_views.suppression_import, name="suppression-import"),
    path("suppressions/export.csv", suppression_views.suppression_csv, name="suppression-csv"),
    path("suppressions/<str:suppression>/remove/", suppression_views.suppression_remove, name="suppression-remove"),
    path("settings/channels/", channel_views.channel_list, name="channel-list"),
    path("settings/channels/<str:channel>/", channel_views.channel_detail, name="channel-detail"),
    path("settings/channels/<str:channel>/disconnect/", channel_views.channel_disconnect, name="channel-disconnect"),
    path("settings/sending/", defaults_views.sending_defaults, name="sending-defaults"),
    path("topics/", consent_views.topic_list, name="topic-list"),
    path("topics/<str:topic>/", consent_views.topic_detail, name="topic-detail"),
    path("topics/<str:topic>/archive/", consent_views.topic_archive, name="topic-archive"),
    path("people/<str:person>/consent/", consent_views.person_consent, name="person-consent"),
]
