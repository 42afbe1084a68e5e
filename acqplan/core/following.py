"""Who is told how something that takes a while goes on."""

from __future__ import annotations

from collections.abc import Callable

Follower = Callable[[str, int, int], None]
"""Called with what is being done, how many of its steps are done, and how many there are (0: it has none)."""


def unfollowed(what: str, done: int, total: int) -> None:
    """A `Follower` that does nothing."""
