from django.apps import AppConfig


class LimitsConfig(AppConfig):
    name = "limits"

    def ready(self) -> None:
        from audit import retention
        from limits import audit_days, pages

        retention.register(audit_days.days_of)
        pages.register_all()
