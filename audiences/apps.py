from django.apps import AppConfig


class AudiencesConfig(AppConfig):
    name = "audiences"

    def ready(self) -> None:
        from audiences import frame, handlers, pages, rebuild

        assert handlers
        frame.register_all()
        pages.register_all()
        rebuild.register()
