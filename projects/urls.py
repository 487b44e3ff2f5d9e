"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import path

from projects import views

urlpatterns = [
    path("settings/", views.settings, name="settings"),
    path("settings/sender/", views.sender, name="settings-sender"),
    path("settings/allow-list/", views.allow_list, name="settings-allow-list"),
    path("settings/members/", views.members, name="settings-members"),
    path("settings/members/<str:user>/role/", views.member_role, name="settings-member-role"),
    path("settings/members/<str:user>/remove/", views.member_remove, name="settings-member-remove"),
    path("settings/keys/", views.keys, name="settings-keys"),
    path("settings/keys/<str:key>/revoke/", views.key_revoke, name="settings-key-revoke"),
]
