"""The `environment` part of an address knows two words."""


class EnvironmentConverter:
    regex = "production|sandbox"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
