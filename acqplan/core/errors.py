"""Every error that a user's input can cause.

    AcqplanError
    ├── BudgetError        a budget that can't be parsed or can't be met
    ├── RecipeError        an unknown or impossible setting
    ├── ImageError         training or test images that can't be used
    ├── PlanFileError      a plan file that is damaged, foreign or too new
    ├── AcquisitionError   measured data that can't be right
    │   └── PatternMismatch    measured with another pattern than the plan's
    ├── InstrumentError    hardware or a file format that can't take this plan
    └── OutputError        a result that can't be written

Each carries two sentences: ``problem`` says what arrived and what was expected,
``remedy`` what to do. The command line prints both and exits with 2.
"""

from __future__ import annotations


class AcqplanError(Exception):
    """A mistake in the input, as opposed to a bug in acqplan.

    Parameters
    ----------
    problem
        What arrived and what was expected, one sentence.
    remedy
        What the user can do about it, one sentence.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}".strip())
        self.problem = problem
        self.remedy = remedy


class BudgetError(AcqplanError):
    """A budget that can't be parsed or can't be met."""


class RecipeError(AcqplanError):
    """An unknown or impossible setting."""


class ImageError(AcqplanError):
    """Training or test images that can't be used."""


class PlanFileError(AcqplanError):
    """A plan file that is damaged, foreign or too new."""


class AcquisitionError(AcqplanError):
    """Measured data that can't be right."""


class PatternMismatch(AcquisitionError):
    """Data measured with another pattern than the plan's."""


class InstrumentError(AcqplanError):
    """Hardware or a file format that can't take this plan."""


class OutputError(AcqplanError):
    """A result that can't be written."""
