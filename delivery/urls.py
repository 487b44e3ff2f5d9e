"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import path

from delivery import views

urlpatterns = [
    path("jobs/<str:job>/messages/", views.job_messages, name="job-messages"),
    path("jobs/<str:job>/resolve/", views.job_resolve, name="job-resolve"),
    path("jobs/<str:job>/retry/", views.job_retry, name="job-retry"),
    path("captured/", views.captured_list, name="captured-list"),
    path("captured/<str:mail>/", views.captured_detail, name="captured-detail"),
    path("captured/<str:mail>/body/", views.captured_body, name="captured-body"),
    path("suppressions/", views.suppression_list, name="suppression-list"),
    path("suppressions/<str:suppression>/remove/", views.suppression_remove, name="suppression-remove"),
]
