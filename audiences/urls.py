"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import path

from audiences.views import audiences, backfill, changes, imports, people, segments, snapshots

urlpatterns = [
    path("audiences/", audiences.audience_list, name="audience-list"),
    path("audiences/new/", audiences.audience_new, name="audience-new"),
    path("audiences/<slug:audience>/", audiences.audience_detail, name="audience-detail"),
    path("audiences/<slug:audience>/edit/", audiences.audience_edit, name="audience-edit"),
    path("audiences/<slug:audience>/changes/<slug:taken>/", changes.audience_changes, name="audience-changes"),
    path(
        "audiences/<slug:audience>/changes/<slug:taken>/csv/",
        changes.audience_changes_csv,
        name="audience-changes-csv",
    ),
    path("audiences/<slug:audience>/snapshots/", snapshots.snapshot_take, name="snapshot-take"),
    path("audiences/<slug:audience>/snapshots/<slug:taken>/", snapshots.snapshot_detail, name="snapshot-detail"),
    path("audiences/<slug:audience>/snapshots/<slug:taken>/csv/", snapshots.snapshot_csv, name="snapshot-csv"),
    path("people/", people.people_list, name="people-list"),
    path("people.csv", people.people_csv, name="people-csv"),
    path("people/imports/", imports.import_list, name="import-list"),
    path("people/imports/new/", imports.import_new, name="import-new"),
    path("people/imports/<slug:import_id>/", imports.import_detail, name="import-detail"),
    path("people/imports/<slug:import_id>/start/", imports.import_start, name="import-start"),
    path("people/imports/<slug:import_id>/cancel/", imports.import_cancel, name="import-cancel"),
    path("people/imports/<slug:import_id>/problems.csv", imports.import_problems_csv, name="import-problems-csv"),
    path("people/backfill/", backfill.backfill_list, name="backfill-list"),
    path("people/backfill/start/", backfill.backfill_start, name="backfill-start"),
    path("people/backfill/access/", backfill.lamba_access, name="lamba-access"),
    path("people/backfill/<slug:run>/cancel/", backfill.backfill_cancel, name="backfill-cancel"),
    path("people/segments/", segments.segment_list, name="segment-list"),
    path("people/segments/<slug:segment>/", segments.segment_detail, name="segment-detail"),
    path("people/segments/<slug:segment>/members/", segments.segment_members, name="segment-members"),
    path("people/<slug:person>/", people.person_detail, name="person-detail"),
    path("people/<slug:person>/erase/", people.person_erase, name="person-erase"),
]
