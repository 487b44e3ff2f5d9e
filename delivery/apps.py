from django.apps import AppConfig


class DeliveryConfig(AppConfig):
    name = "delivery"

    def ready(self) -> None:
        from audiences import exclusions
        from delivery import esp_receipts, handlers, pages, receipts_rebuild
        from lamba_campaigns.lib.sql import statement

        exclusions.register_topics(
            refused=statement("delivery", "topic_refused"),
            never_asked_for=statement("delivery", "topic_never_asked_for"),
        )
        assert esp_receipts and handlers and pages  # they register what they hold when they are imported
        receipts_rebuild.register()
