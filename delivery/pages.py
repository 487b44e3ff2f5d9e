"""What this app adds to the console's frame: its menu lines and the words of its states."""

from lamba_campaigns.web import navigation

navigation.register(
    navigation.Item(
        key="suppressions",
        label="Suppressions",
        icon="shield-ban",
        url_name="suppression-list",
        section="project",
        order=20,
        permission="people.read",
    )
)
navigation.register(
    navigation.Item(
        key="topics",
        label="Topics",
        icon="list-checks",
        url_name="topic-list",
        section="project",
        order=21,
        permission="console.read",
    )
)
navigation.register(
    navigation.Item(
        key="captured",
        label="Captured mail",
        icon="inbox",
        url_name="captured-list",
        section="evidence",
        order=40,
        permission="people.read",
    )
)
