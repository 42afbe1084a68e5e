"""Libraries of the extra ``mri``, imported only where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from acqplan.core.errors import AcqplanError, AcquisitionError


def library(name: str, what: str, error: type[AcqplanError] = AcquisitionError) -> ModuleType:
    """The module ``name``; ``error`` that names the extra if it isn't installed. ``what`` needs it, for the message."""
    try:
        return importlib.import_module(name)
    except ImportError as cause:
        package = name.partition(".")[0]
        raise error(
            f"{what} needs the package {package}, which isn't installed.",
            'Install it with: pip install "acqplan[mri]".',
        ) from cause
