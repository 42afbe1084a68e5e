"""Digital micromirror devices: mirror array, on-board memory, rate and exposure.

Where each number comes from stands beside it (`Device.sources`): *documented* in the vendor's documents or in its
published sources, *inferred* from what is documented, or *remembered* and to be checked on the device. What isn't
known is None, and isn't checked; every number can be given as an option instead.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field

from acqplan.core.errors import InstrumentError

_GIB_BITS = 8 << 30
_ALP_ROW_BITS = 512  # rows are padded to a multiple of it: 1024 -> 1024, 1280 -> 1536, 1920 -> 2048, 2560 -> 2560
DOCUMENTED, INFERRED, REMEMBERED = "documented", "inferred", "remembered"


@dataclass(frozen=True)
class Device:
    """A mirror array and what its electronics can do.

    Parameters
    ----------
    name
        As a person types it.
    width, height
        Mirrors.
    max_frames
        How many frames of 1 bit the on-board memory holds at once.
    max_rate_hz
        Frames of 1 bit per second.
    min_exposure_us
        Shortest time of a frame, in microseconds.
    is_dual
        Two controllers, each driving one half of the columns.
    sources
        Where each of these numbers comes from.
    """

    name: str
    width: int
    height: int
    max_frames: int | None = None
    max_rate_hz: float | None = None
    min_exposure_us: float | None = None
    is_dual: bool = False
    sources: dict[str, str] = field(default_factory=dict, compare=False)


def alp_row_bytes(width: int) -> int:
    """Bytes of one row of mirrors in the memory of a ViALUX ALP: 128 for 1024 mirrors, 256 for 1920."""
    return -(-width // _ALP_ROW_BITS) * _ALP_ROW_BITS // 8


def alp_frames(width: int, height: int, memory_gib: float, row_bytes: int | None = None) -> int:
    """Frames of 1 bit that a ViALUX ALP with that memory holds: floor(RAM bits / (padded row bits x rows))."""
    return int(memory_gib * _GIB_BITS) // (8 * (row_bytes or alp_row_bytes(width)) * height)


def _alp(array: str, width: int, height: int, memory_gib: int, frames: str, rate_hz: float | None = None) -> Device:
    sources = {"mirrors": DOCUMENTED, "max_frames": f"computed, row length {frames}", "max_rate_hz": DOCUMENTED}
    if rate_hz is None:
        del sources["max_rate_hz"]
    name = f"alp-{array}-{memory_gib}gib"
    return Device(name, width, height, alp_frames(width, height, memory_gib), rate_hz, sources=sources)


_DLPC900 = {"min_exposure_us": DOCUMENTED, "max_frames": f"{DOCUMENTED}: entries of the look-up table"}
_DEVICES = (
    *(_alp("xga", 1024, 768, gib, DOCUMENTED, 22_700) for gib in (4, 8)),
    *(_alp("wxga", 1280, 800, gib, INFERRED) for gib in (4, 8)),
    *(_alp("1080p", 1920, 1080, gib, DOCUMENTED) for gib in (4, 8)),
    *(_alp("wuxga", 1920, 1200, gib, DOCUMENTED) for gib in (4, 8)),
    *(_alp("wqxga", 2560, 1600, gib, INFERRED) for gib in (4, 8)),
    Device("lightcrafter-6500", 1920, 1080, 400, None, 105, sources={"mirrors": DOCUMENTED, **_DLPC900}),
    Device("lightcrafter-9000", 2560, 1600, 400, None, 105, True, sources={"mirrors": REMEMBERED, **_DLPC900}),
)
DEVICES = {device.name: device for device in _DEVICES}


def find_device(name: str) -> Device:
    """The device of that name, or an unknown one of that many mirrors (``1920x1080``).

    Raises
    ------
    InstrumentError
        Neither a known name nor WIDTHxHEIGHT.
    """
    text = str(name).strip().lower()
    if text in DEVICES:
        return DEVICES[text]
    match = re.fullmatch(r"(\d{1,6})\s*[x×]\s*(\d{1,6})", text)
    if match is None or not int(match[1]) or not int(match[2]):
        near = difflib.get_close_matches(text, DEVICES, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise InstrumentError(
            f"The device is {name!r}.",
            f"{hint}Write the mirror array as WIDTHxHEIGHT, like 1920x1080, or name one of: {', '.join(DEVICES)}.",
        )
    width, height = int(match[1]), int(match[2])
    return Device(f"{width}x{height}", width, height, sources={"mirrors": "given"})
