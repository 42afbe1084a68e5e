"""Packages of the extra ``mri``, imported only where they are used."""

from __future__ import annotations

import importlib
from typing import Any

from acqplan.core.errors import OutputError


def mri_package(name: str) -> Any:
    """The package ``name``; `OutputError` naming the extra if it isn't installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OutputError(
            f"These images need the package {name}, which isn't installed.",
            'Install it with: pip install "acqplan[mri]".',
        ) from error
