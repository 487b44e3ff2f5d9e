"""The support view as an installed app: Django's admin with our site in its place."""

from django.contrib.admin.apps import AdminConfig


class SupportConfig(AdminConfig):
    default_site = "lamba_campaigns.web.support.SupportSite"
