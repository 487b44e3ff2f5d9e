"""REST endpoints, under /api/v1/."""

from django.urls import path

from delivery.api import jobs, mail

urlpatterns = [
    path("jobs/<str:job>", jobs.JobDetail.as_view()),
    path("jobs/<str:job>/messages", jobs.JobMessages.as_view()),
    path("jobs/<str:job>/uncertain", jobs.JobUncertain.as_view()),
    path("jobs/<str:job>/retry", jobs.JobRetry.as_view()),
    path("suppressions", mail.SuppressionList.as_view()),
    path("suppressions/<str:suppression>", mail.SuppressionDetail.as_view()),
    path("captured-mails", mail.CapturedList.as_view()),
    path("captured-mails/<str:mail>", mail.CapturedDetail.as_view()),
]
