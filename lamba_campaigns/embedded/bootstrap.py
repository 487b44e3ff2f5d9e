"""Makes `.venv` and installs the pinned, hashed requirements; does nothing when nothing has changed.

Run by path (`python3 lamba_campaigns/embedded/bootstrap.py runtime|dev`) with whatever Python there is, so: only the
standard library, and no syntax that an old one can't read before it is told that it is too old.
"""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
REQUIREMENTS = {"runtime": ["requirements.txt"], "dev": ["requirements.txt", "requirements-dev.txt"]}
PIP_VERSION = "25.3"
PIP_SHA256 = "9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd"
DOWNLOAD_SECONDS_MAX = 60


def main(kind: str) -> int:
    """`.venv` holds what `kind` needs. The exit code."""
    if sys.version_info < OLDEST:
        return _refuse(
            f"This is Python {_short_version()} ({sys.executable}). Lamba Campaigns needs 3.11 or later.\n"
            f"Install one and name it: make run PYTHON=/path/to/python3.12"
        )
    stamp, state = os.path.join(VENV, ".installed-" + kind), _state(kind)
    if _read(stamp) == state and _works():
        return 0
    try:
        if not _works():
            _create()
        _install(kind)
    except subprocess.CalledProcessError as failure:
        return _refuse(
            f"Setting up .venv failed (exit code {failure.returncode}); the lines above say why. It needs the Python "
            f"package registry, or a mirror of it named by PIP_INDEX_URL."
        )
    except OSError as error:
        return _refuse(f"Setting up .venv failed: {error}")
    with open(stamp, "w") as file:
        file.write(state)
    return 0


def _state(kind: str) -> str:
    """What decides whether an installation is still the right one."""
    digest = hashlib.sha256(_short_version().encode())
    for name in REQUIREMENTS[kind]:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def _works() -> bool:
    """The environment's Python starts, is new enough and has pip; not so after the system's Python went away."""
    if not os.path.exists(PYTHON):
        return False
    check = [PYTHON, "-c", f"import pip, sys; sys.exit(sys.version_info < {OLDEST})"]
    return subprocess.call(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def _create() -> None:
    """A new environment. Debian splits venv: without python3-venv there is no ensurepip, so pip is fetched instead."""
    print(f"Making .venv with Python {_short_version()}", flush=True)
    with_pip = importlib.util.find_spec("ensurepip") is not None
    options = ["--clear"] if with_pip else ["--clear", "--without-pip"]
    subprocess.check_call([sys.executable, "-m", "venv", *options, VENV])
    if with_pip:
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download_pip(folder)
        subprocess.check_call([PYTHON, os.path.join(wheel, "pip"), "install", "--quiet", "--no-index", wheel])


def _download_pip(folder: str) -> str:
    """pip's own wheel, which can run from its file; its digest is pinned like every other requirement's."""
    name = f"pip-{PIP_VERSION}-py3-none-any.whl"
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    found = re.search(f'href="([^"#]*{re.escape(name)})[#"]', _get(index).decode())
    if found is None:
        raise OSError(f"the package registry at {index} has no {name}")
    content = _get(urllib.parse.urljoin(index, found.group(1)))
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        raise OSError(f"the file {name} from {index} is not the pinned one; nothing was installed")
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS_MAX) as answer:  # noqa: S310 - the user's own index
        found: bytes = answer.read()
    return found


def _install(kind: str) -> None:
    print("Installing the pinned requirements into .venv (once; about half a minute)", flush=True)
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "--prefer-binary", "--root-user-action=ignore"]
    for name in REQUIREMENTS[kind]:
        command += ["-r", os.path.join(ROOT, name)]
    subprocess.check_call(command)


def _short_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _refuse(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "runtime"))
