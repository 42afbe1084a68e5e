"""Array transforms: centred orthonormal FFT and the fast Walsh–Hadamard transform.

Pure functions on torch tensors, differentiable, no state. Conventions, once for the whole project:

* The discrete Fourier transform is *orthonormal* and *centred*: index ``n // 2`` is position
  zero in image space and frequency zero in k-space (the same as BART's ``fft -u``).
* The Walsh–Hadamard transform is orthonormal too. *Natural* order is that of
  `scipy.linalg.hadamard`; *sequency* order sorts the rows by their number of sign changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

_RADIX_BITS = 4  # H_256 = H_16 ⊗ H_16: products with 16 × 16 matrices are the fastest on CPUs


def fft_centred(x: torch.Tensor, dims: Sequence[int]) -> torch.Tensor:
    """Centred orthonormal discrete Fourier transform over ``dims`` (unitary)."""
    shifted = torch.fft.ifftshift(x, dim=tuple(dims))
    spectrum: torch.Tensor = torch.fft.fftshift(torch.fft.fftn(shifted, dim=tuple(dims), norm="ortho"), dim=tuple(dims))
    return spectrum


def ifft_centred(x: torch.Tensor, dims: Sequence[int]) -> torch.Tensor:
    """Inverse of `fft_centred`, and its adjoint."""
    shifted = torch.fft.ifftshift(x, dim=tuple(dims))
    spectrum: torch.Tensor = torch.fft.fftshift(
        torch.fft.ifftn(shifted, dim=tuple(dims), norm="ortho"), dim=tuple(dims)
    )
    return spectrum


def is_power_of_two(n: int) -> bool:
    """Whether ``n`` is 1, 2, 4, 8, …"""
    return n >= 1 and n & (n - 1) == 0


@lru_cache(maxsize=32)
def _hadamard(bits: int, scale: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """H of order 2**bits in natural order, times ``scale``."""
    matrix = np.ones((1, 1))
    for _ in range(bits):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    with torch.inference_mode(False):  # kept for training too, whoever asks first
        return torch.as_tensor(scale * matrix, dtype=dtype, device=device)


def walsh_hadamard(x: torch.Tensor, n_dims: int = 2, *, orthonormal: bool = True) -> torch.Tensor:
    """Walsh–Hadamard transform, natural order, over the last ``n_dims`` axes.

    Real or complex ``x``; the transformed sides must be powers of two and may differ. The
    transform is symmetric; orthonormal it is its own inverse and adjoint, otherwise it is the
    product with the ±1 matrix of `scipy.linalg.hadamard`. An order-2**m transform is a
    Kronecker product of transforms of order at most 16, each one a small matrix product.
    """
    sides = x.shape[-n_dims:]
    if not all(is_power_of_two(side) for side in sides):
        raise ValueError(f"sides must be powers of two, got {tuple(sides)}")
    if x.is_complex():
        parts = walsh_hadamard(torch.view_as_real(x).movedim(-1, 0), n_dims, orthonormal=orthonormal)
        return torch.complex(parts[0], parts[1])
    bits_left = sum(side.bit_length() - 1 for side in sides)
    n = 1 << bits_left
    # A Kronecker product over *all* the bits of the flattened index: the sides don't matter.
    flat = x.reshape(-1, n)
    inner = 1
    while bits_left:
        bits = min(_RADIX_BITS, bits_left)
        radix = 1 << bits
        scale = 2 ** (-bits / 2) if orthonormal else 1.0
        matrix = _hadamard(bits, scale, flat.dtype, flat.device)
        if inner == 1:
            flat = flat.reshape(-1, radix) @ matrix
        else:
            flat = matrix @ flat.reshape(-1, radix, inner)
        inner *= radix
        bits_left -= bits
    return flat.reshape(x.shape)


def sequency_order(n: int) -> npt.NDArray[np.int64]:
    """Natural-order row index of the Walsh function with ``s`` sign changes, for s = 0 … n−1.

    ``W[s] = H[bitrev(gray(s))]`` with ``gray(s) = s ^ (s >> 1)``.
    """
    if not is_power_of_two(n):
        raise ValueError(f"n must be a power of two, got {n}")
    s = np.arange(n)
    gray = s ^ (s >> 1)
    reversed_bits = np.zeros_like(gray)
    for bit in range(n.bit_length() - 1):
        reversed_bits = (reversed_bits << 1) | ((gray >> bit) & 1)
    return reversed_bits


@lru_cache(maxsize=32)
def _sequency_index(sides: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Flat natural index of each flat sequency index, row-major over ``sides``."""
    flat = np.zeros((1,), dtype=np.int64)
    for side in sides:
        flat = (flat[:, None] * side + sequency_order(side)[None, :]).reshape(-1)
    with torch.inference_mode(False):
        return torch.as_tensor(flat, device=device)


def walsh_sequency(x: torch.Tensor, n_dims: int = 2) -> torch.Tensor:
    """Orthonormal Walsh–Hadamard transform, sequency order along each of the last ``n_dims`` axes.

    Symmetric, its own inverse and adjoint.
    """
    sides = tuple(x.shape[-n_dims:])
    natural = walsh_hadamard(x, n_dims)
    index = _sequency_index(sides, x.device)
    return natural.flatten(-n_dims).index_select(-1, index).reshape(x.shape)
