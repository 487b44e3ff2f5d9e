"""How many SMS a text becomes: GSM 03.38 where every character is in it, UCS-2 otherwise (3GPP TS 23.038)."""

from dataclasses import dataclass
from typing import Final, Literal

GSM_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED: Final = frozenset("\f^{}\\[~]|€")  # two septets each
GSM_ALONE, GSM_JOINED = 160, 153  # septets in one SMS, and in one of several
UCS_ALONE, UCS_JOINED = 70, 67  # 16-bit units


@dataclass(frozen=True, slots=True)
class Size:
    """What one text costs."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    segments: int

    @property
    def words(self) -> str:
        return f"{self.segments} segment{'' if self.segments == 1 else 's'}, {self.encoding}"


def size(text: str) -> Size:
    """The size of `text` as it is sent. Nothing is split inside an escape or a surrogate pair."""
    if all(character in GSM_BASIC or character in GSM_EXTENDED for character in text):
        widths = [2 if character in GSM_EXTENDED else 1 for character in text]
        return Size("GSM-7", sum(widths), _segments(widths, GSM_ALONE, GSM_JOINED))
    widths = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return Size("UCS-2", sum(widths), _segments(widths, UCS_ALONE, UCS_JOINED))


def _segments(widths: list[int], alone: int, joined: int) -> int:
    if sum(widths) <= alone:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > joined:
            count, used = count + 1, 0
        used += width
    return count
