"""Ways to damage a file: bytes, blocks, ends, numbers in texts, and the structure of HDF5."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable

import numpy as np

from acqplan.core.hdf5 import MAGIC
from robustness.hdf5_mutations import restructured

Random = np.random.Generator

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_VALUES = (
    *(b"0", b"-1", b"1", b"2", b"3.5", b"nan", b"inf", b"-inf", b"1e308", b"1e-308", b"1e20", b"100000"),
    *(b"2147483647", b"4294967296", b"-9223372036854775808", b"99999999999999999999999", b"9" * 5000),
    *(b"", b"x", b"null", b"true", b'"text"', b"[]", b"{}", b"[[1, 2], [3]]", "½ä".encode(), b"\xff\xfe"),
)
_FOREIGN = (b"", b"\0" * 700, b"\x80\x04\x95hello", b"no data at all\n", b"PK\x03\x04", b"\x93NUMPY", MAGIC, b"{}")
_WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


def mutated(content: bytes, random: Random, *, is_sound: bool = True) -> tuple[bytes, str]:
    """The content with one of the kinds of damage that fit it, and its name; ``is_sound``: it isn't damaged yet."""
    ways: list[Callable[[bytes, Random], bytes]] = [bytes_changed, word_set, block_changed, cut, parts_moved]
    if content.startswith(MAGIC):
        ways += [restructured] * 6 if is_sound else []
    elif content.startswith(b"\x1f\x8b"):
        ways += [unpacked_changed] * 5 if is_sound else []
    elif _NUMBER.search(content[:4096]):
        ways += [value_changed] * (5 if _is_text(content) else 2)
    way = ways[int(random.integers(len(ways)))]
    if not content or random.random() < 0.01:
        return _FOREIGN[int(random.integers(len(_FOREIGN)))], "foreign"
    return way(content, random), way.__name__


def bytes_changed(content: bytes, random: Random) -> bytes:
    """A few bytes or bits changed, removed or inserted; half of them where headers are."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 6))):
        if not data:
            break
        place = _place(len(data), random)
        match int(random.integers(4)):
            case 0:
                data[place] ^= 1 << int(random.integers(8))
            case 1:
                data[place] = int(random.integers(256))
            case 2:
                del data[place]
            case _:
                data.insert(place, int(random.integers(256)))
    return bytes(data)


def word_set(content: bytes, random: Random) -> bytes:
    """A whole number of 2, 4 or 8 bytes set to an end of its range, as sizes and offsets of headers are."""
    size = int(random.choice([2, 4, 8]))
    place = _place(max(1, len(content) - size), random)
    word = _WORDS[int(random.integers(len(_WORDS)))] & ((1 << 8 * size) - 1)
    return content[:place] + word.to_bytes(size, "little" if random.random() < 0.7 else "big") + content[place + size :]


def block_changed(content: bytes, random: Random) -> bytes:
    """A block of zeros, of ones, of random bytes, or twice."""
    start = _place(len(content), random)
    length = int(min(len(content) - start, 2 ** random.integers(2, 13)))
    block = content[start : start + length]
    new = (bytes(length), b"\xff" * length, random.bytes(length), block * 2, b"")[int(random.integers(5))]
    return content[:start] + new + content[start + length :]


def cut(content: bytes, random: Random) -> bytes:
    """The end missing, or something behind it."""
    if random.random() < 0.2:
        return content + random.bytes(int(random.integers(1, 600)))
    return content[: int(random.integers(len(content)))]


def parts_moved(content: bytes, random: Random) -> bytes:
    """Two parts exchanged."""
    first, second, third = sorted(int(each) for each in random.integers(0, len(content) + 1, 3))
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def value_changed(content: bytes, random: Random) -> bytes:
    """A number in a text (JSON, TOML, XML, CSV, a header) is another, none, or no number."""
    found = list(_NUMBER.finditer(content[: 1 << 20]))
    if not found:
        return bytes_changed(content, random)
    chosen = found[int(random.integers(len(found)))]
    value = _VALUES[int(random.integers(len(_VALUES)))]
    return content[: chosen.start()] + value + content[chosen.end() :]


def unpacked_changed(content: bytes, random: Random) -> bytes:
    """What a gzip file holds, damaged, and packed again."""
    way = (bytes_changed, word_set, block_changed, cut)[int(random.integers(4))]
    return gzip.compress(way(gzip.decompress(content), random), 1)


def _place(length: int, random: Random) -> int:
    return int(random.integers(min(length, 512) if random.random() < 0.5 else length))


def _is_text(content: bytes) -> bool:
    return b"\0" not in content[:2048]
