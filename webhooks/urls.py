"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
