from django.apps import AppConfig


class DeliveryConfig(AppConfig):
    name = "delivery"

    def ready(self) -> None:
        from audiences import exclusions
        from delivery import esp_receipts, handlers, pages  # noqa: F401 - registers receipts, navigation and states
        from delivery import receipts_rebuild
        from lamba_campaigns.lib.sql import statement

        exclusions.register_topics(
            refused=statement("delivery", "topic_refused"),
            never_asked_for=statement("delivery", "topic_never_asked_for"),
        )
        receipts_rebuild.register()
