"""Images that trainings share."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders.trainings import write_scans


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("images") / "scans")
