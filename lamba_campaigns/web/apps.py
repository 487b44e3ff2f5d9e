from django.apps import AppConfig
from django.urls import register_converter


class WebConfig(AppConfig):
    name = "lamba_campaigns.web"
    label = "web"

    def ready(self) -> None:
        from lamba_campaigns.web.converters import EnvironmentConverter

        register_converter(EnvironmentConverter, "environment")
