from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        from audit.checkpoints import on_signed
        from webhooks import checkpoints, pages

        on_signed(checkpoints.publish)
        pages.register_all()
