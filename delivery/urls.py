"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import path

from delivery.views import channels, consent, defaults, jobs, sent, suppressions

urlpatterns = [
    path("jobs/<str:job>/messages/", jobs.job_messages, name="job-messages"),
    path("jobs/<str:job>/messages/<int:position>/", sent.message_sent, name="message-sent"),
    path("jobs/<str:job>/messages/<int:position>/body/", sent.message_body, name="message-body"),
    path("jobs/<str:job>/messages/<int:position>/source.eml", sent.message_source, name="message-source"),
    path("jobs/<str:job>/resolve/", jobs.job_resolve, name="job-resolve"),
    path("jobs/<str:job>/retry/", jobs.job_retry, name="job-retry"),
    path("jobs/<str:job>/wake/", jobs.job_wake, name="job-wake"),
    path("captured/", jobs.captured_list, name="captured-list"),
    path("captured/<str:mail>/", jobs.captured_detail, name="captured-detail"),
    path("captured/<str:mail>/body/", jobs.captured_body, name="captured-body"),
    path("suppressions/", suppressions.suppression_list, name="suppression-list"),
    path("suppressions/import/", suppressions.suppression_import, name="suppression-import"),
    path("suppressions/export.csv", suppressions.suppression_csv, name="suppression-csv"),
    path("suppressions/<str:suppression>/remove/", suppressions.suppression_remove, name="suppression-remove"),
    path("settings/channels/", channels.channel_list, name="channel-list"),
    path("settings/channels/<str:channel>/", channels.channel_detail, name="channel-detail"),
    path("settings/channels/<str:channel>/disconnect/", channels.channel_disconnect, name="channel-disconnect"),
    path("settings/sending/", defaults.sending_defaults, name="sending-defaults"),
    path("topics/", consent.topic_list, name="topic-list"),
    path("topics/<str:topic>/", consent.topic_detail, name="topic-detail"),
    path("topics/<str:topic>/archive/", consent.topic_archive, name="topic-archive"),
    path("people/<str:person>/consent/", consent.person_consent, name="person-consent"),
]
