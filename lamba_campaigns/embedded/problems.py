"""Refusals that the person at the terminal can do something about. They are printed without a traceback."""


class CannotStart(RuntimeError):
    """Says what was found and what to do next. `lines` are the last words of the part that failed."""

    def __init__(self, message: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.lines = lines
