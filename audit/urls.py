"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import URLPattern, path

from audit import views

urlpatterns: list[URLPattern] = [
    path("audit/", views.audit_trail, name="audit-trail"),
    path("audit/export.csv", views.audit_csv, name="audit-csv"),
    path("audit/export.ndjson", views.audit_ndjson, name="audit-ndjson"),
    path("audit/offline_verifier.py", views.audit_verifier, name="audit-verifier"),
    path("audit/verify/", views.audit_verify, name="audit-verify"),
]
