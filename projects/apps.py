from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "projects"

    def ready(self) -> None:
        from lamba_campaigns.web.navigation import Item, register

        register(
            Item(
                key="settings",
                label="Settings",
                icon="settings-2",
                url_name="settings",
                section="project",
                order=90,
                shortcut="g s",
            )
        )
