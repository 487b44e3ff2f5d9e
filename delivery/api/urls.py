"""REST endpoints, under /api/v1/."""

from django.urls import path

from delivery.api import channels, consent, defaults, inbox, jobs, mail, sent, suppression_files

urlpatterns = [
    path("jobs/<str:job>", jobs.JobDetail.as_view()),
    path("jobs/<str:job>/messages", jobs.JobMessages.as_view()),
    path("jobs/<str:job>/messages/<int:position>/sent", sent.MessageSent.as_view()),
    path("jobs/<str:job>/messages/<int:position>/sent.eml", sent.MessageSentSource.as_view()),
    path("jobs/<str:job>/uncertain", jobs.JobUncertain.as_view()),
    path("jobs/<str:job>/retry", jobs.JobRetry.as_view()),
    path("jobs/<str:job>/wake", jobs.JobWake.as_view()),
    path("suppressions", mail.SuppressionList.as_view()),
    path("suppressions/import", suppression_files.SuppressionImport.as_view()),
    path("suppressions.csv", suppression_files.SuppressionExport.as_view()),
    path("channels", channels.ChannelList.as_view()),
    path("channels/<str:channel>", channels.ChannelDetail.as_view()),
    path("sending-defaults", defaults.SendingDefaults.as_view()),
    path("inbox/tokens", inbox.InboxTokens.as_view()),
    path("topics", consent.TopicList.as_view()),
    path("topics/<str:topic>", consent.TopicDetail.as_view()),
    path("people/<str:person>/consent", consent.PersonConsent.as_view()),
    path("people/<str:person>/consent/events", consent.PersonConsentEvents.as_view()),
    path("people/<str:person>/preference-link", consent.PersonPreferenceLink.as_view()),
    path("suppressions/<str:suppression>", mail.SuppressionDetail.as_view()),
    path("captured-mails", mail.CapturedList.as_view()),
    path("captured-mails/<str:mail>", mail.CapturedDetail.as_view()),
]
