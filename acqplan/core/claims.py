"""What a packed file may claim to hold: decompression bombs are refused before they cost memory or time."""

from __future__ import annotations

import zlib

MOST_BYTES = 8 << 30
"""Of one file, unpacked: the largest multi-coil volumes that are read whole."""

_FREE_BYTES = 64 << 20
"""Claimed without suspicion, however small the file."""

_MOST_DENSE = 250
"""Times that measured data get smaller by packing, at most; zeros alone get smaller by 1,000."""

_CHUNK = 1 << 20


def most_of(packed_bytes: int, most: int = MOST_BYTES) -> int:
    """The largest size, unpacked, that a file of so many bytes is believed."""
    return min(most, max(_FREE_BYTES, _MOST_DENSE * packed_bytes))


def check_claim(claimed_bytes: float, packed_bytes: int, what: str, most: int = MOST_BYTES) -> None:
    """Raise `ValueError` if ``what`` claims more than is believed of a file of ``packed_bytes``."""
    allowed = most_of(packed_bytes, most)
    if claimed_bytes > allowed:
        raise ValueError(f"{what} claims {claimed_bytes:.0f} bytes, more than the {allowed} believed of its file")


def gunzipped(data: bytes, most: int = MOST_BYTES) -> bytes:
    """Unpack gzip, of one member or several, piece by piece; `ValueError` at the first byte too many."""
    allowed, rest, parts, total = most_of(len(data), most), data, [], 0
    while rest:
        unpacker = zlib.decompressobj(wbits=31)
        while rest and not unpacker.eof:
            part = unpacker.decompress(rest, _CHUNK)
            rest, total = unpacker.unconsumed_tail, total + len(part)
            if total > allowed:
                raise ValueError(f"it unpacks to more than the {allowed} bytes believed of its size")
            parts.append(part)
        if not unpacker.eof:
            raise ValueError("it is cut off")
        rest = unpacker.unused_data.lstrip(b"\0")  # archives may be padded
    return b"".join(parts)
