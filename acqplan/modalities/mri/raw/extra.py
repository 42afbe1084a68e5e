"""Libraries of the extra ``mri``, imported only where they are used."""

from __future__ import annotations

from types import ModuleType

from acqplan.core.errors import AcqplanError, AcquisitionError
from acqplan.core.optional import optional_import


def library(name: str, what: str, error: type[AcqplanError] = AcquisitionError) -> ModuleType:
    """The module ``name``; ``error`` that names the extra if it isn't installed. ``what`` needs it, for the message."""
    return optional_import(name, "mri", f"{what} needs the package", error=error)
