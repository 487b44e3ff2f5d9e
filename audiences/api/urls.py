"""REST endpoints, under /api/v1/."""

from django.urls import path

from audiences.api import audiences, backfill, comparisons, imports, people, segments, snapshots

urlpatterns = [
    path("audiences", audiences.AudienceList.as_view()),
    path("audiences/fields", audiences.FieldCatalogue.as_view()),
    path("audiences/preview", audiences.AudiencePreview.as_view()),
    path("audiences/<str:audience>", audiences.AudienceDetail.as_view()),
    path("audiences/<str:audience>/versions", audiences.AudienceVersions.as_view()),
    path("audiences/<str:audience>/campaigns", audiences.AudienceCampaigns.as_view()),
    path("audiences/<str:audience>/explain", audiences.AudienceExplanation.as_view()),
    path("audiences/<str:audience>/explain.csv", audiences.AudienceExplanationCsv.as_view()),
    path("people", people.PersonList.as_view()),
    path("people.csv", people.PeopleCsv.as_view()),
    path("people/<str:person>", people.PersonDetail.as_view()),
    path("people/<str:person>/history", people.PersonHistory.as_view()),
    path("imports", imports.ImportList.as_view()),
    path("imports/<str:import_id>", imports.ImportDetail.as_view()),
    path("imports/<str:import_id>/start", imports.ImportStart.as_view()),
    path("imports/<str:import_id>/cancel", imports.ImportCancel.as_view()),
    path("imports/<str:import_id>/problems", imports.ImportProblems.as_view()),
    path("imports/<str:import_id>/problems.csv", imports.ImportProblemsCsv.as_view()),
    path("lamba-access", backfill.LambaAccess.as_view()),
    path("backfills", backfill.BackfillList.as_view()),
    path("backfills/<str:run>", backfill.BackfillDetail.as_view()),
    path("backfills/<str:run>/cancel", backfill.BackfillCancel.as_view()),
    path("segments", segments.SegmentList.as_view()),
    path("segments/<str:segment>", segments.SegmentDetail.as_view()),
    path("segments/<str:segment>/members", segments.SegmentMembers.as_view()),
    path("audiences/<str:audience>/snapshots", snapshots.AudienceSnapshots.as_view()),
    path("snapshots/<str:snapshot_id>", snapshots.SnapshotDetail.as_view()),
    path("snapshots/<str:snapshot_id>/explain", snapshots.SnapshotExplanation.as_view()),
    path("snapshots/<str:snapshot_id>/members", snapshots.SnapshotMembers.as_view()),
    path("snapshots/<str:snapshot_id>/members.csv", snapshots.SnapshotMembersCsv.as_view()),
    path("snapshots/<str:snapshot_id>/diff", comparisons.SnapshotDiff.as_view()),
    path("snapshots/<str:snapshot_id>/diff.csv", comparisons.SnapshotDiffCsv.as_view()),
]
