from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from lamba_campaigns.web import navigation

        navigation.register(
            navigation.Item(
                "audit",
                "Audit trail",
                "scroll-text",
                "audit-trail",
                section="evidence",
                order=40,
                permission="audit.read",
                shortcut="g u",
            )
        )
