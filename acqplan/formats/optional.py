"""Packages of the extra ``mri``, imported only where they are used."""

from __future__ import annotations

from typing import Any

from acqplan.core.errors import OutputError
from acqplan.core.optional import optional_import


def mri_package(name: str) -> Any:
    """The package ``name``; `OutputError` naming the extra if it isn't installed."""
    return optional_import(name, "mri", "These images need the package", error=OutputError)
