from django.apps import AppConfig


class DeliveryConfig(AppConfig):
    name = "delivery"

    def ready(self) -> None:
        from delivery import esp_receipts, handlers, pages  # noqa: F401 - registers receipts, navigation and states
