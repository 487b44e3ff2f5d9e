"""Code that people copy out of the console. The suite runs every line of it."""

from functools import cache
from importlib import resources


@cache
def text(name: str) -> str:
    """The snippet `verify_python`, `verify_node` or `send_python`."""
    return resources.files("webhooks.snippets").joinpath(f"{name}.txt").read_text()


def receiver(language: str, event_type: str) -> str:
    """The verifier in `python` or `node`, and a function that gives the data of one type of event."""
    whole = text(f"verify_{language}") + text(f"receive_{language}").replace("{type}", event_type)
    return f"import json\n{whole}" if language == "python" else whole
