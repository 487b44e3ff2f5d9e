"""REST endpoints, under /api/v1/."""

from django.urls import URLPattern, path

from limits.api import views

urlpatterns: list[URLPattern] = [
    path("limits", views.LimitList.as_view()),
    path("reservations", views.ReservationList.as_view()),
    path("plan", views.PlanItem.as_view()),
    path("add-ons", views.AddOnList.as_view()),
    path("add-ons/<str:sku>", views.AddOnItem.as_view()),
]
