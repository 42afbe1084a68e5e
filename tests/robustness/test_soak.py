"""A few random loops from images to images; the long form gives each kind of part its turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from robustness.soak import soak


@pytest.mark.parametrize("seed", range(2))
def test_no_loop_gives_a_wrong_image(seed: int, tmp_path: Path) -> None:
    done = soak(tmp_path, 5, seed)
    assert not done.faults, "\n".join(done.faults)
    assert done.loops - done.refused >= 4
