"""Addresses in mail: no sign-in, no scope in the path; the token says whose they are."""

from django.urls import path

from delivery import public_views

urlpatterns = [path("u/<str:token>", public_views.unsubscribe, name="unsubscribe")]
