"""Which format a file of acquired data is in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acqplan.core import registry
from acqplan.core.errors import AcquisitionError, InstrumentError
from acqplan.formats.contracts import AcquiredReader, PatternFormat
from acqplan.plan.components import Component, check_options, option_names


def for_acquired(path: Path, kind: str | None = None, options: Mapping[str, Any] | None = None) -> AcquiredReader:
    """The format to read acquired data at ``path`` with, or to write them there.

    A given ``kind`` decides. Otherwise the content of the file does; where there is none yet, or no
    format knows it, the suffix (the reader then says what is wrong). Of several formats that fit,
    those for more kinds of instruments come first. With ``options`` only formats that know them are asked.

    Raises
    ------
    RecipeError
        There is no format of that kind, or none that knows the options.
    InstrumentError
        The format of that kind holds no acquired data.
    AcquisitionError
        Neither content nor suffix is of a known format.
    """
    given = dict(options or {})
    if kind is not None:
        check_options("instruments", Component(kind, given))
        chosen = registry.find("instruments", kind)(**given)
        if not isinstance(chosen, AcquiredReader):
            raise InstrumentError(f"The format {kind!r} holds no acquired data.", _known())
        return chosen
    formats = [known for known in _formats() if set(given) <= set(option_names("instruments", known.kind))]
    if not formats:
        # The one that knows the most of them says which it doesn't; of several one that is there for reading.
        options_of = {known.kind: set(option_names("instruments", known.kind)) for known in _formats()}
        best = max(
            _formats(),
            key=lambda each: (
                len(set(given) & options_of[each.kind]),
                not issubclass(each, PatternFormat),
                len(options_of[each.kind]),
            ),
        )
        check_options("instruments", Component(best.kind, given))
    if path.is_file():
        for known in formats:
            if known.recognises(path):
                return known(**given)
    by_suffix = [known for known in formats if path.suffix.lower() in known.acquired_suffixes]
    if not by_suffix:
        if given:  # the options say more than an unknown suffix
            return formats[0](**given)
        raise AcquisitionError(f"{path} isn't in any format of acquired data that is known.", _known())
    return by_suffix[0](**given)


def acquired_file(path: Path) -> Path:
    """``path``, or the only file of acquired data that is named so but for its suffix, as BART names its files."""
    if path.exists() or path.suffix:
        return path
    suffixes = {suffix for known in _formats() for suffix in known.acquired_suffixes}
    found = [file for suffix in sorted(suffixes) if (file := path.with_name(path.name + suffix)).is_file()]
    return found[0] if len(found) == 1 else path


def _formats() -> list[type[AcquiredReader]]:
    """The formats that are read, those for more kinds of instruments first."""
    known = [each for each in registry.kinds("instruments").values() if issubclass(each, AcquiredReader)]
    return sorted(known, key=lambda each: -len(each.sensing_kinds()))


def _known() -> str:
    names = [f"{each.kind} ({', '.join(each.acquired_suffixes)})" for each in _formats()]
    return f"Known are: {', '.join(names)}."
