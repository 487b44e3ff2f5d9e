"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import URLPattern, path

from limits import views

urlpatterns: list[URLPattern] = [
    path("plan/", views.plan_and_limits, name="plan-and-limits"),
    path("plan/reservations/", views.reservation_list, name="reservation-list"),
    path("plan/reservations.csv", views.reservations_csv, name="reservation-csv"),
    path("plan/change/", views.change_plan, name="plan-change"),
    path("plan/add-ons/", views.add_add_on, name="add-on-add"),
    path("plan/add-ons/end/", views.end_add_on, name="add-on-end"),
]
