"""Traces of processing that would flatter a result: "data crimes".

Images that were magnitude-only, zero-filled or compressed before acqplan sees them are easier to
reconstruct than what an instrument measures; published errors were 25 to 48 % too small
(Shimron, Tamir, Wang, Lustig, PNAS 2022, doi:10.1073/pnas.2117203119). Whoever trains on
them shall know it; nothing is refused.

* **Fourier-interpolated**: the mean log power of k-space falls abruptly at a rectangle or a disc
  and stays low outside; a smooth decay, however steep, doesn't count. Found in magnitudes too,
  where taking the absolute value has filled the outside again, a little.
* **Magnitude saved as complex**: up to one constant phase an image is real.
* **JPEG-compressed**: on one of the 64 possible positions of an 8 × 8 grid the high cosine
  coefficients of the blocks are smaller than on all others. Found from quality 30 to 95 and after
  cropping; not after resizing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

REAL_AS_COMPLEX = "magnitude saved as complex: its k-space is conjugate-symmetric, the measured phase is lost"

_N_IMAGES = 8  # of a stack, whose k-space is looked at
_MIN_SIDE = 48  # pixels: smaller images say too little
_FLOOR = 1e-10  # of the mean square: below it lie rounding errors, not signal
_MIN_STEP = 1.5  # nepers of power: real images reach 0.5, zero-filled magnitudes 1.8, complex ones 13
_WIDTH = 3  # lines over which the power beside a step is averaged
_FIRST_EDGE = 0.3  # of the half width of k-space: a step further inside is image content

_JPEG_IMAGES = 2
_JPEG_SIDE = 256  # pixels from the centre
_JPEG_FREQUENCY = 5  # u + v from which a cosine coefficient counts as high
_JPEG_STEP = 0.2  # nepers of power: real images reach 0.08, JPEG of quality 95 0.26
_JPEG_SPREADS = 5.0  # robust standard deviations over the 63 other positions


def found_in(images: npt.NDArray[Any]) -> list[str]:
    """What is suspicious about images [n, H, W], real or complex: clauses without a full stop."""
    strongest = _strongest(images)
    return [clause for clause in (zero_filled(strongest), jpeg_blocks(strongest)) if clause is not None]


def real_saved_as_complex(images: npt.NDArray[Any]) -> npt.NDArray[np.float32] | None:
    """The real images float32 [n, H, W] if complex images have but one constant phase each, else None.

    The sum of each is made positive, and what is negative by rounding only becomes positive.
    """
    phase = np.angle(np.square(images.astype(np.complex128)).sum(axis=(1, 2), keepdims=True)) / 2
    turned = images * np.exp(-1j * phase)
    peak = float(np.abs(images).max())
    if np.abs(turned.imag).max() > 1e-5 * peak:
        return None
    real: npt.NDArray[np.float32] = turned.real.astype(np.float32)
    real *= np.where(real.sum(axis=(1, 2), keepdims=True) < 0, np.float32(-1), np.float32(1))
    return np.abs(real) if real.min() > -1e-4 * peak else real


def _strongest(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """At most `_N_IMAGES` of the stronger half of the images, evenly over their strength, in double precision."""
    energy = np.square(np.abs(images)).mean(axis=(1, 2), dtype=np.float64)
    order = np.argsort(-energy, kind="stable")[: max(_N_IMAGES, images.shape[0] // 2)]
    chosen = images[order[:: max(1, len(order) // _N_IMAGES)][:_N_IMAGES]]
    return chosen.astype(np.complex128 if np.iscomplexobj(chosen) else np.float64)


def zero_filled(images: npt.NDArray[Any]) -> str | None:
    """Where k-space is empty beyond a rectangle or a disc, in words; None if it isn't."""
    n, height, width = images.shape
    if min(height, width) < _MIN_SIDE:
        return None
    log_power = _mean_log_power(images)
    # The standard error of a mean log power (1.28 for one exponential variable); the window
    # makes about two neighbours in three independent.
    sides = {"rows": _along(log_power), "columns": _along(log_power.T)}
    slack = {name: 3 * 1.28 / np.sqrt(n * side / 3) for name, side in (("rows", width), ("columns", height))}
    steps = {name: _step(profile) for name, profile in sides.items()}
    edges = {
        name: line / (len(sides[name]) - 1) for name, (step, line) in steps.items() if step > _MIN_STEP + slack[name]
    }
    disc, radius = _step(_radial(log_power))
    largest = max((steps[name][0] for name in edges), default=0.0)
    if disc > max(_MIN_STEP + min(slack.values()), largest):
        share = radius / (min(height, width) // 2)
        return f"Fourier-interpolated: k-space beyond a disc of {share:.0%} of its half width is empty"
    if not edges:
        return None
    where = " and ".join(f"{edge:.0%} of the {name}" for name, edge in edges.items())
    return f"Fourier-interpolated: k-space beyond {where} is empty"


def _mean_log_power(images: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Log power of the windowed k-space relative to the mean square, mean over images: [H, W], centred."""
    _, height, width = images.shape
    # Without a window the jump between opposite borders of the image fills all of k-space.
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    mean_square = np.square(np.abs(images)).mean(axis=(1, 2), keepdims=True)
    kspace = np.fft.fftshift(np.fft.fft2(images * window, norm="ortho"), axes=(1, 2))
    power = np.square(np.abs(kspace)) / np.maximum(mean_square, np.finfo(np.float64).tiny)
    mean: npt.NDArray[np.float64] = np.log(power + _FLOOR).mean(axis=0)
    return mean


def _along(log_power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Profile over |row frequency|, mean over the central half of the columns; the larger of both signs."""
    height, width = log_power.shape
    rows = log_power[:, width // 2 - width // 4 : width // 2 + width // 4 + 1].mean(axis=1)
    centre = height // 2
    reach = min(centre, height - 1 - centre)
    f = np.arange(reach + 1)
    profile: npt.NDArray[np.float64] = np.maximum(rows[centre + f], rows[centre - f])
    return profile


def _radial(log_power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Profile over the radius, in lines of the shorter side, to 1.3 times its half width (into the corners)."""
    height, width = log_power.shape
    y, x = ((np.arange(side) - side // 2) / (side / 2) for side in (height, width))
    reach = min(height, width) // 2
    ring = (np.hypot(y[:, None], x[None, :]) * reach).astype(int).ravel()
    profile: npt.NDArray[np.float64] = np.bincount(ring, log_power.ravel()) / np.maximum(1, np.bincount(ring))
    return profile[: int(1.3 * reach)]


def _step(profile: npt.NDArray[np.float64]) -> tuple[float, int]:
    """The largest lasting fall of a profile (nepers) beyond its own slope, and the line where it is.

    The fall at line b is from the mean of the `_WIDTH` lines before it to the *largest* value
    after it, less the fall over the lines just before: a smooth decay cancels itself.
    """
    last = len(profile) - 1
    best = (0.0, 0)
    for b in range(max(2 * _WIDTH, int(_FIRST_EDGE * last)), last - 1):
        inside, before = profile[b - _WIDTH : b].mean(), profile[b - 2 * _WIDTH : b - _WIDTH].mean()
        step = float(inside - profile[b + 1 :].max() - max(0.0, before - inside))
        if step > best[0]:
            best = (step, b)
    return best


def jpeg_blocks(images: npt.NDArray[Any]) -> str | None:
    """Whether the images were cut in the 8 × 8 blocks of JPEG, in words; None if not."""
    pixels = np.abs(images[:_JPEG_IMAGES])
    top, left = (max(0, side // 2 - _JPEG_SIDE // 2) for side in pixels.shape[1:])
    pixels = pixels[:, top : top + _JPEG_SIDE, left : left + _JPEG_SIDE]
    n, height, width = pixels.shape
    if min(height, width) < _MIN_SIDE or not pixels.any():
        return None
    pixels = pixels / np.sqrt(np.square(pixels).mean())
    rows, columns = (height - 7) // 8, (width - 7) // 8
    frequency = np.arange(8)
    cosines = np.cos(np.pi / 8 * np.outer(frequency, frequency + 0.5)) * np.where(frequency, 0.5, 8**-0.5)[:, None]
    high = np.add.outer(frequency, frequency) >= _JPEG_FREQUENCY
    level = np.zeros((8, 8))
    for y in range(8):
        for x in range(8):
            cut = pixels[:, y : y + 8 * rows, x : x + 8 * columns]
            blocks = cut.reshape(n, rows, 8, columns, 8).swapaxes(2, 3)
            power = np.square(cosines @ blocks @ cosines.T)[..., high]
            power = power[power.sum(axis=-1) > 1e-4]  # flat blocks are alike on every grid
            level[y, x] = np.log(power + 1e-6).mean() if power.size else 0.0
    lowest = int(level.argmin())
    others = np.delete(level.ravel(), lowest)
    typical = np.median(others)
    spread = 1.4826 * np.median(np.abs(others - typical))
    step = typical - level.ravel()[lowest]
    if step > _JPEG_STEP and step > _JPEG_SPREADS * spread:
        return "JPEG-compressed: its 8x8 blocks show"
    return None
