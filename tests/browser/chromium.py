"""Which Chromium drives the browser tests and takes the screenshots: the machine's own, never a download."""

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]


def chromium() -> str | None:
    """The Chromium of this machine; LAMBA_CHROMIUM names another one."""
    named = [os.environ.get("LAMBA_CHROMIUM", ""), *map(shutil.which, NAMES), *PLACES]
    return next((place for place in named if place and Path(place).exists()), None)
