"""The last thing `make run` prints: where to go and how to get in."""

import json
from pathlib import Path
from typing import TypedDict

from lamba_campaigns.embedded.folder import Folder, write_private
from lamba_campaigns.embedded.terminal import Terminal


class EnvironmentCredentials(TypedDict):
    """How one environment of the demo is entered from outside."""

    api_key: str
    lamba_endpoint: str  # path, below the ingest address
    lamba_secret: str
    provider_endpoint: str
    provider_secret: str


class Credentials(TypedDict):
    """What the demo shows once; kept in demo-credentials.json for later starts."""

    complete: bool  # false while the demo is being made
    email: str
    password: str
    viewer_email: str
    viewer_password: str
    other_email: str  # owner of the second workspace, who must see nothing of the first
    other_password: str
    environments: dict[str, EnvironmentCredentials]


def read_credentials(path: Path) -> Credentials | None:
    """None when there is no demo, as with `--no-demo`."""
    try:
        found: Credentials = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found


def write_credentials(folder: Folder, credentials: Credentials) -> None:
    write_private(folder.credentials, json.dumps(credentials, indent=1) + "\n")


def summary(terminal: Terminal, folder: Folder, console_url: str, ingest_url: str, capture_url: str) -> None:
    """Console, sign-in, keys, endpoints and mail, aligned."""

    def strong(text: str) -> str:
        return terminal.style(text, "bold")

    rows = [("Console", terminal.style(console_url, "bold", "cyan"))]
    found = read_credentials(folder.credentials)
    if found is not None:
        rows += [
            ("Sign in", f"{strong(found['email'])}  {strong(found['password'])}"),
            ("  may only look", f"{found['viewer_email']}  {found['viewer_password']}"),
            ("  other workspace", f"{found['other_email']}  {found['other_password']}"),
        ]
        for name, credentials in found["environments"].items():
            rows += [
                ("", ""),
                (f"API key, {name}", credentials["api_key"]),
                ("  Lamba's webhooks", ingest_url + credentials["lamba_endpoint"]),
                ("    secret", credentials["lamba_secret"]),
                ("  mail provider's", ingest_url + credentials["provider_endpoint"]),
                ("    secret", credentials["provider_secret"]),
            ]
    rows += [("", ""), ("Captured mail", f"{capture_url}, shown in the console under Captured mail")]
    rows += [("REST", f"{console_url}/api/v1/openapi.json"), ("Logs", str(folder.logs))]
    terminal.say()
    terminal.rows(rows)
    terminal.say()
    terminal.say(f"  {strong('Ctrl-C')} stops everything; the data is kept.")
    terminal.say()
