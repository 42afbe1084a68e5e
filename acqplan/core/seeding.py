"""One seed, many independent named streams of random numbers.

Each consumer asks for a generator by name, so adding a consumer doesn't shift the numbers
that the others draw, and the global random state of torch and NumPy is never touched.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def stream_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream ``name``: the first bytes of SHA-256 over seed and name."""
    digest = hashlib.sha256(f"acqplan:{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def torch_generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh torch generator for the stream ``name``."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, name))


def numpy_generator(seed: int, name: str) -> np.random.Generator:
    """A fresh NumPy generator for the stream ``name``."""
    return np.random.default_rng(stream_seed(seed, name))


def numpy_from(generator: torch.Generator) -> np.random.Generator:
    """A NumPy generator that takes its seed from a torch generator, which moves on by one number."""
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))


def lasting_generator(seed: int, name: str) -> np.random.RandomState:
    """A fresh generator for the stream ``name`` whose numbers no later version of NumPy changes (NEP 19).

    For numbers that are made again on other machines; those of the generators above may differ there.
    """
    words = np.frombuffer(hashlib.sha256(f"acqplan:{seed}:{name}".encode()).digest(), "<u4")
    return np.random.RandomState(words.tolist())
