"""Packages of acqplan's extras, imported only where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from acqplan.core.errors import AcqplanError


def optional_import(
    module: str, extra: str, what: str, *, error: type[AcqplanError], otherwise: str = ""
) -> ModuleType:
    """The module, or an error that says what to install.

    Parameters
    ----------
    module
        Its full name; its package is what comes before the first dot.
    extra
        Of acqplan: the one that installs the package.
    what
        Who needs it, as the beginning of a sentence that the package's name goes on: ``The page needs the package``.
    error
        Raised where the package isn't installed.
    otherwise
        End of the remedy: what else can be done, as ``, or …``.
    """
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        raise error(
            f"{what} {module.partition('.')[0]}, which isn't installed.",
            f'Install it with: pip install "acqplan[{extra}]"{otherwise}.',
        ) from cause
