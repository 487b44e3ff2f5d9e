"""REST endpoints, under /api/v1/."""

from django.urls import path

from projects.api import views

urlpatterns = [
    path("keys", views.KeyList.as_view(), name="api-keys"),
    path("keys/<str:key>", views.KeyDetail.as_view(), name="api-key"),
    path("members", views.MemberList.as_view(), name="api-members"),
    path("members/<str:user>", views.MemberDetail.as_view(), name="api-member"),
]
