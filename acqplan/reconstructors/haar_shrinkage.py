"""Soft thresholding of two-level Haar wavelets on a shifted grid, block by block."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from acqplan.reconstructors.reconstructor import pad

BLOCK = 4
"""Side of a block: two levels of Haar wavelets don't reach beyond 4 × 4 pixels."""

_PIXELS = BLOCK**2
_TINY = 1e-24  # keeps the inverse magnitude finite


def shrink_haar(image: torch.Tensor, threshold: float, shift: tuple[int, int]) -> torch.Tensor:
    """image[B, H, W], real or complex, with its Haar details moved by ``threshold`` towards 0 in magnitude.

    ``shift`` rows and columns that the image is rolled by before it is divided into blocks, and back after. Sides that
    are no multiples of `BLOCK` are padded with zeros. The coarse mean of each block stays. Differentiable once.
    """
    if image.requires_grad and torch.is_grad_enabled():
        result: torch.Tensor = _ShrinkHaar.apply(image, threshold, shift)  # type: ignore[no-untyped-call]
        return result
    details = _analysed(image, shift)
    details *= _kept(details, threshold)
    return _synthesised(details, image, shift)


class _ShrinkHaar(torch.autograd.Function):
    """`shrink_haar` and its derivative, which is symmetric."""

    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, threshold: float, shift: tuple[int, int]) -> torch.Tensor:
        details = _analysed(image, shift)
        kept = _kept(details, threshold)
        ctx.save_for_backward(details, kept)
        ctx.shift = shift
        return _synthesised(details * kept, image, shift)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        details, kept = ctx.saved_tensors
        # Of v(1 − t/|v|): (1 − t/|v|)g + (t/|v|)·v·Re(v̄g)/|v|², and 0 within the threshold.
        change = _analysed(gradients[0], ctx.shift)
        along = (details * change).sum(0) / details.square().sum(0).add_(_TINY)
        change = change * kept + details * (along * (1 - kept) * (kept > 0))
        return _synthesised(change, gradients[0], ctx.shift), None, None


def _kept(details: torch.Tensor, threshold: float) -> torch.Tensor:
    """max(0, 1 − threshold/|v|) of the details v in [parts, 16, blocks], 1 of the coarse means: [16, blocks]."""
    energy = details[0] * details[0]
    for part in details[1:]:
        energy.addcmul_(part, part)
    kept = energy.add_(_TINY).rsqrt_().mul_(-threshold).add_(1).clamp_(min=0)
    kept[0] = 1
    return kept


def _analysed(image: torch.Tensor, shift: tuple[int, int]) -> torch.Tensor:
    """Wavelets [parts, 16, blocks] of image[B, H, W], the coarse mean first; the parts are real and imaginary."""
    padded = pad(image, -image.shape[-2] % BLOCK, -image.shape[-1] % BLOCK)
    pixels = padded.flatten().index_select(0, _blocks(image.shape, shift, image.device)[0])
    pixels = torch.view_as_real(pixels) if image.is_complex() else pixels
    n_parts = 1 + image.is_complex()
    wavelets = _haar(image.is_complex(), pixels.dtype, image.device) @ pixels.view(-1, _PIXELS * n_parts).mT
    return wavelets.view(n_parts, _PIXELS, -1)


def _synthesised(details: torch.Tensor, like: torch.Tensor, shift: tuple[int, int]) -> torch.Tensor:
    """The inverse of `_analysed`."""
    pixels = details.flatten(0, 1).mT @ _haar(like.is_complex(), details.dtype, like.device)
    if like.is_complex():
        pixels = torch.view_as_complex(pixels.view(-1, 2))
    return pixels.flatten().index_select(0, _blocks(like.shape, shift, like.device)[1]).view(like.shape)


@lru_cache(maxsize=64)
def _blocks(shape: torch.Size, shift: tuple[int, int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each pixel of rolled blocks is in padded images[B, height, width], and each of the images in the blocks.

    int64[B · padded pixels] and int64[B · height · width], flat: of a whole batch at once, a third as long as by image.
    """
    n, height, width = shape
    rows, columns = height + -height % BLOCK, width + -width % BLOCK
    with torch.inference_mode(False):  # kept for training too, whoever asks first
        places = torch.arange(n * rows * columns).view(n, rows, columns)
        rolled = places.roll(shift, dims=(1, 2))
        blocks = rolled.view(n, rows // BLOCK, BLOCK, columns // BLOCK, BLOCK).transpose(2, 3).flatten()
        back = torch.empty_like(blocks)
        back[blocks] = torch.arange(n * rows * columns)
        return blocks.to(device), back.view(n, rows, columns)[:, :height, :width].flatten().to(device)


@lru_cache(maxsize=8)
def _haar(is_complex: bool, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Orthonormal two-level Haar wavelets of the 4 × 4 pixels, rows; the coarse mean is the first.

    [16, 16]; of pairs of real and imaginary parts [32, 32]: first the wavelets of all real parts, then of the others.
    """
    with torch.inference_mode(False):
        # Means and differences of the block's halves, then of the pixels of each of its corners.
        mean, fine = torch.tensor([1.0, 1.0]), torch.tensor([1.0, -1.0])
        rows = []
        for vertical, horizontal in ((mean, mean), (mean, fine), (fine, mean), (fine, fine)):
            rows.append(torch.kron(torch.outer(vertical, horizontal), torch.ones(2, 2)) / 4)
        for vertical, horizontal in ((mean, fine), (fine, mean), (fine, fine)):
            small = torch.outer(vertical, horizontal) / 2
            for corner in torch.eye(4).view(4, 2, 2):
                rows.append(torch.kron(corner, small))
        wavelets = torch.stack(rows).view(_PIXELS, _PIXELS).to(device, dtype)
        if not is_complex:
            return wavelets
        parts = torch.eye(2, device=device, dtype=dtype)
        return torch.einsum("wp,ac->awpc", wavelets, parts).reshape(2 * _PIXELS, 2 * _PIXELS)
