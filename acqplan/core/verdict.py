"""What was shown by a comparison, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping

from acqplan.core.measures import MEASURES
from acqplan.core.statistics import LEAST_SUBJECTS, Effect

HARDLY_DB = 0.1
"""Differences in PSNR below this hardly matter; where an interval is within it, both do as well."""
_JUDGED = ("psnr_db", "ssim", "hfen", "frc")  # NRMSE says what PSNR does


def sentence(first: str, second: str, effects: Mapping[str, Effect]) -> str:
    """``a is better than b in PSNR and SSIM: PSNR +0.52 dB (+0.31 to +0.74), …; 12 subjects.``

    ``effects`` of the first against the second, by measure, on the same subjects. Where nothing was shown it says how
    many subjects it would take; where a difference that matters was shown not to be, that both do as well.
    """
    judged = {name: effects[name] for name in _JUDGED if name in effects}
    by_outcome = {
        outcome: [MEASURES[name].word for name, effect in judged.items() if effect.outcome == outcome]
        for outcome in ("better", "worse")
    }
    numbers = ", ".join(f"{MEASURES[name].word} {effect_text(effect, name)}" for name, effect in judged.items())
    psnr = judged["psnr_db"]
    subjects = f"{psnr.n_subjects} subject{'s' * (psnr.n_subjects != 1)}"
    claims = [f"{outcome} than {second} in {_listed(words)}" for outcome, words in by_outcome.items() if words]
    claim = f"is {' and '.join(claims)}" if claims else ""
    if not claims and all(effect.mean == 0 for effect in judged.values()):
        claim = f"gives the same as {second}"
    elif not claims and psnr.interval is not None and max(map(abs, psnr.interval)) <= HARDLY_DB:
        claim = f"does as well as {second}"
    if not claim:
        return f"No difference shown of {first} to {second}: {numbers}; {subjects}{_needed(psnr)}."
    return f"{first} {claim}: {numbers}; {subjects}."


def effect_text(effect: Effect, name: str) -> str:
    """``+0.52 dB (+0.31 to +0.74)`` of a measure; without an interval where there is none."""
    measure = MEASURES[name]
    text = f"{measure.difference(effect.mean)}{measure.unit}"
    return text if effect.interval is None else f"{text} ({interval_text(effect.interval, name)})"


def interval_text(interval: tuple[float, float], name: str) -> str:
    """``+0.31 to +0.74``."""
    low, high = map(MEASURES[name].difference, interval)
    return f"{low} to {high}"


def _needed(psnr: Effect) -> str:
    if psnr.n_subjects < LEAST_SUBJECTS:
        few = f", too few to show any, which takes {LEAST_SUBJECTS} at least"
        more = psnr.needed is not None and psnr.needed > LEAST_SUBJECTS
        return f"{few}; one in PSNR of this size about {psnr.needed}" if more else few
    return "" if psnr.needed is None else f"; one in PSNR of this size would take about {psnr.needed}"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
