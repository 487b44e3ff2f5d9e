"""Code that people copy out of the console. The suite runs every line of it."""

from functools import cache
from importlib import resources


@cache
def text(name: str) -> str:
    """The snippet `verify_python`, `verify_node` or `send_python`."""
    return resources.files("webhooks.snippets").joinpath(f"{name}.txt").read_text()
