"""How often intervals over few subjects hold the truth, and how often a difference is claimed where there is none.

    python benchmarks/interval_coverage.py

Normal differences of subjects; plain percentiles of the same bootstrap beside acqplan's expanded ones.
"""

from __future__ import annotations

import numpy as np

from acqplan.core.seeding import numpy_generator
from acqplan.core.statistics import bootstrap_interval, effect

TRIALS, RESAMPLINGS = 2000, 2000


def coverage(n_subjects: int, random: np.random.Generator) -> tuple[float, float]:
    """Of expanded and of plain percentiles."""
    hits = np.zeros(2)
    drawn = random.integers(n_subjects, size=(RESAMPLINGS, n_subjects))
    for _ in range(TRIALS):
        values = random.normal(1, 2, n_subjects)
        interval = bootstrap_interval(values, np.arange(n_subjects))
        assert interval is not None
        plain = np.quantile(values[drawn].mean(1), [0.025, 0.975])
        hits += [low <= 1 <= high for low, high in (interval, plain)]
    expanded, of_plain = hits / TRIALS
    return float(expanded), float(of_plain)


def false_claims(n_subjects: int, n_seeds: int, random: np.random.Generator) -> float:
    """Of two kinds of plan that are equal, trained from so many seeds each; seeds differ more than subjects do."""
    claims = 0
    for _ in range(TRIALS):
        subjects = random.normal(0, 1, n_subjects)
        ours, theirs = (
            subjects + random.normal(0, 0.5, (n_seeds, 1)) + random.normal(0, 0.3, (n_seeds, n_subjects))
            for _ in range(2)
        )
        claims += effect(ours, theirs, np.arange(n_subjects)).outcome != "no difference shown"
    return claims / TRIALS


def main() -> None:
    random = numpy_generator(0, "interval coverage")
    print("subjects   expanded percentiles   plain")
    for n_subjects in (6, 7, 12, 25):
        expanded, plain = coverage(n_subjects, random)
        print(f"{n_subjects:8} {expanded:22.1%} {plain:7.1%}", flush=True)
    for n_subjects, n_seeds in ((7, 1), (7, 2), (7, 3), (12, 3), (12, 5)):
        claimed = false_claims(n_subjects, n_seeds, random)
        print(f"{n_subjects} subjects, {n_seeds} seeds: {claimed:.1%} claimed where there is none", flush=True)


if __name__ == "__main__":
    main()
