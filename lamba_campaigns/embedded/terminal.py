"""What the person who typed `make run` sees: one aligned line a step, colour only where it can be shown."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

LABEL_WIDTH = 20
CLEAR_LINE = "\r\x1b[2K"
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_LOG_COLOURS = ("36", "35", "34", "33", "32", "96", "95", "94")


@dataclass(slots=True)
class Step:
    """A line that is being worked on; `detail` is what it says when done."""

    label: str
    detail: str = ""


class Terminal:
    """Writes to one stream. `colour` and `live` (overwriting a pending line) need a terminal behind it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        tty = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._live = tty
        self._colour = tty and not os.environ.get("NO_COLOR")
        self._pending = ""
        self._done, self._failed, self._dot = ("✓", "✗", "·") if self._can_write("✓✗·") else ("ok", "!!", "-")

    def style(self, text: str, *styles: str) -> str:
        codes = ";".join(_STYLES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m" if self._colour and text else text

    def say(self, text: str = "") -> None:
        """One line of its own; a pending step is drawn again below it."""
        self._write((CLEAR_LINE if self._pending else "") + text + "\n" + self._pending)

    def warn(self, text: str) -> None:
        self.say(f"  {self.style('!', 'yellow', 'bold')} {text}")

    def error(self, text: str) -> None:
        first, *rest = text.splitlines() or [""]
        self.say(f"  {self.style(self._failed, 'red', 'bold')} {first}")
        for line in rest:
            self.say(f"    {line}")

    def title(self, text: str, note: str = "") -> None:
        self.say()
        self.say(f"  {self.style(text, 'bold')}{'  ' + self.style(note, 'dim') if note else ''}")
        self.say()

    @contextmanager
    def step(self, label: str) -> Iterator[Step]:
        """A pending line while the block runs; then a tick, the seconds it took and its detail."""
        step, began = Step(label), time.monotonic()
        if self._live:
            self._pending = f"  {self.style(self._dot, 'dim')} {label} …"
            self._write(self._pending)
        try:
            yield step
        except BaseException:
            self._finish(step, self.style(self._failed, "red", "bold"), began)
            raise
        self._finish(step, self.style(self._done, "green", "bold"), began)

    def rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Label and value, aligned. A row with an empty label continues the one above; two empty texts leave a line."""
        for label, value in rows:
            self.say(f"  {self.style(label.ljust(LABEL_WIDTH), 'dim')} {value}".rstrip())

    def log(self, name: str, line: str, *, number: int) -> None:
        """A line that a child wrote, behind its name."""
        prefix = name.ljust(9)
        if self._colour:
            prefix = f"\x1b[{_LOG_COLOURS[number % len(_LOG_COLOURS)]}m{prefix}\x1b[0m"
        self.say(f"  {prefix} {self.style('|', 'dim')} {line}")

    def _finish(self, step: Step, mark: str, began: float) -> None:
        took = f"{time.monotonic() - began:.1f} s"
        line = f"  {mark} {step.label.ljust(LABEL_WIDTH)}{self.style(took.rjust(7), 'dim')}"
        before, self._pending = (CLEAR_LINE if self._pending else ""), ""
        self._write(f"{before}{line}{'   ' + self.style(step.detail, 'dim') if step.detail else ''}\n")

    def _can_write(self, text: str) -> bool:
        try:
            text.encode(self._stream.encoding or "utf-8")
        except UnicodeEncodeError:
            return False
        return True

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        except (BrokenPipeError, OSError):
            pass  # whoever read our output has gone; the services matter more
