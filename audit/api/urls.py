"""REST endpoints, under /api/v1/."""

from django.urls import URLPattern, path

from audit.api import views

urlpatterns: list[URLPattern] = [
    path("audit-events", views.AuditEventList.as_view()),
    path("audit/export.ndjson", views.AuditExport.as_view()),
    path("audit/export.csv", views.AuditExportCsv.as_view()),
    path("audit/offline_verifier.py", views.AuditVerifier.as_view()),
    path("audit/verification", views.AuditVerification.as_view()),
    path("audit/checkpoints", views.CheckpointList.as_view()),
    path("reconciliation", views.BookList.as_view()),
    path("reconciliation/breaks/<str:difference>/assign", views.BreakAssignment.as_view()),
    path("reconciliation/breaks/<str:difference>/resolve", views.BreakResolution.as_view()),
]
