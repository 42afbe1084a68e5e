"""Which format a file of acquired data is in."""

from __future__ import annotations

from pathlib import Path

from acqplan import registry
from acqplan.errors import AcquisitionError, InstrumentError
from acqplan.instruments.base import Instrument


def for_acquired(path: Path, kind: str | None = None) -> Instrument:
    """The format to read acquired data at ``path`` with, or to write them there.

    A given ``kind`` decides. Otherwise the content of the file does; where there is none yet, or no
    format knows it, the suffix (the reader then says what is wrong). Of several formats that fit,
    those for more kinds of instruments come first.

    Raises
    ------
    RecipeError
        There is no format of that kind.
    InstrumentError
        The format of that kind holds no acquired data.
    AcquisitionError
        Neither content nor suffix is of a known format.
    """
    if kind is not None:
        chosen: Instrument = registry.find("instruments", kind)()
        if not chosen.acquired_suffixes:
            raise InstrumentError(f"The format {kind!r} holds no acquired data.", _known())
        return chosen
    formats = _formats()
    if path.is_file():
        for known in formats:
            if known.recognises(path):
                return known()
    by_suffix = [known for known in formats if path.suffix.lower() in known.acquired_suffixes]
    if not by_suffix:
        raise AcquisitionError(f"{path} isn't in any format of acquired data that is known.", _known())
    return by_suffix[0]()


def _formats() -> list[type[Instrument]]:
    known: list[type[Instrument]] = list(registry.kinds("instruments").values())
    return sorted((each for each in known if each.acquired_suffixes), key=lambda each: -len(each.modalities))


def _known() -> str:
    names = [f"{each.kind} ({', '.join(each.acquired_suffixes)})" for each in _formats()]
    return f"Known are: {', '.join(names)}."
