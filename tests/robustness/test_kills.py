"""A few kills at random moments of a design, an export, a simulation and a reconstruction."""

from __future__ import annotations

from pathlib import Path

from robustness.kills import kill


def test_a_kill_damages_nothing_and_little_is_lost(tmp_path: Path) -> None:
    done = kill(tmp_path, 8)
    assert not done.faults, "\n".join(done.faults)
    assert done.kills >= 8
