"""The demo."""


def ensure() -> str:
    return ""
