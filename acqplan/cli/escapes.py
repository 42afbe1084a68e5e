"""Text of other people, made safe to print: file names, a plan's warnings, a recipe, an instrument's words."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and new line; 0x9b alone begins an escape sequence
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # that turn the direction of writing, or end a line
    "\ud800-\udfff\ufeff]"  # bytes of a file name that are no UTF-8, and a mark that isn't seen
)


def printable(text: str) -> str:
    """``text`` with every character that a terminal obeys instead of showing it written as ``\\u001b``.

    The same spelling is valid inside a string of JSON and of TOML, so that both stay what they were.
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
