"""Arrays as pictures: PNG bytes, with simple colour maps."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from acqplan.plan.plan import Plan

Floats = npt.NDArray[np.floating]
Colours = npt.NDArray[np.uint8]

# Dark to light with evenly growing lightness, black through violet and orange to pale yellow.
_ERROR_STOPS = np.array(
    [
        [0, 0, 4],
        [40, 17, 89],
        [101, 26, 110],
        [159, 42, 99],
        [212, 72, 66],
        [245, 125, 21],
        [250, 193, 39],
        [252, 255, 190],
    ]
)
# Early to late with evenly growing lightness, violet through green to yellow; none is the paper's grey.
_TIME_STOPS = np.array([[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [240, 220, 30]])
_PAPER, _MEASURED, _CALIBRATION = (238, 240, 243), (22, 58, 104), (214, 106, 18)
_GAINS = (1, 2, 5, 10, 20, 50)
_MAX_SIDE = 512  # of a pattern's picture; larger ones are shown by density


def png(pixels: Colours) -> bytes:
    """PNG of uint8[H, W] or uint8[H, W, 3]."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def data_uri(data: bytes) -> str:
    """A PNG inside a page."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def grey(image: npt.NDArray[np.generic], white: float) -> Colours:
    """Magnitude of image[H, W], black at 0 and white at ``white``."""
    return _levels(np.abs(image) if np.iscomplexobj(image) else np.asarray(image), white)


def error_colours(error: Floats, brightest: float) -> Colours:
    """|error|[H, W] in colours, black at 0 and pale yellow from ``brightest`` on."""
    return _coloured(np.abs(error) / brightest, _ERROR_STOPS)


def error_scale(width: int = 256, height: int = 12) -> Colours:
    """The colours of `error_colours`, from 0 to the brightest."""
    return error_colours(np.tile(np.linspace(0, 1, width), (height, 1)), 1.0)


def error_gain(errors: Sequence[Floats], data_range: float) -> int:
    """How many times to amplify errors so that all but the 0.5 % largest fit between 0 and the data range."""
    largest = max(float(np.quantile(np.abs(error), 0.995)) for error in errors)
    fitting = [gain for gain in _GAINS if gain * largest <= data_range]
    return fitting[-1] if fitting else 1


def pattern_colours(plan: Plan) -> Colours:
    """uint8[H, W, 3]: k-space, centre in the middle, or sequencies, zero top left; calibration in another colour."""
    mask = plan.pattern.mask
    calibration = np.zeros_like(mask)
    calibration[plan.pattern.calibration] = True
    shape = plan.sensing.grid_shape
    pictures = []
    for part in (mask & ~calibration, calibration):
        grid = part.reshape(shape).astype(np.float64)
        if grid.ndim == 1:  # lines run along the readout, the columns
            grid = np.repeat(grid[:, None], plan.sensing.image_shape[1], axis=1)
        pictures.append(_binned(grid))
    inks = np.array([_PAPER, _MEASURED, _CALIBRATION], dtype=np.float64)
    measured, inside = (picture[..., None] for picture in pictures)
    mixed = inks[0] * (1 - measured - inside) + inks[1] * measured + inks[2] * inside
    colours: Colours = np.round(mixed).astype(np.uint8)
    return colours


def spread_colours(plan: Plan) -> Colours:
    """uint8[H, W]: what the zero-filled image makes of one bright pixel in the middle, from −60 dB to its peak."""
    import torch

    shape = plan.sensing.image_shape
    pixel = torch.zeros((1, *shape), dtype=plan.sensing.image_dtype)
    pixel[0, shape[0] // 2, shape[1] // 2] = 1
    measured = torch.from_numpy(plan.pattern.mask.astype(np.float32))[None]
    spread = plan.sensing.gram(pixel, measured)[0].abs().double().numpy()
    decibels = 20 * np.log10(np.maximum(spread / spread.max(), 1e-3))
    return _levels(decibels + 60, 60.0)


def order_colours(plan: Plan, *, by_echo: bool = False) -> Colours:
    """uint8[H, W, 3]: when each unit is acquired, violet first, yellow last.

    Lines: ky from top to bottom against the number of the shot from left to right. Others: the catalogue as in
    `pattern_colours`, coloured by its first reading. ``by_echo``: coloured by the number of the echo in its
    train instead of the time since the start of the scan.
    """
    pattern, budget = plan.pattern, plan.budget
    n, shape = pattern.n_readings, plan.sensing.grid_shape
    shot, echo = np.divmod(np.arange(n), budget.readings_per_shot)
    value = echo / max(1, budget.readings_per_shot - 1) if by_echo else np.arange(n) / max(1, n - 1)
    if len(shape) == 1:
        # Blocks of shots and of lines share a pixel where there are more than a picture may have.
        columns, rows = (-(-size // _MAX_SIDE) for size in (budget.n_shots, shape[0]))
        grid = np.full((-(-shape[0] // rows), -(-budget.n_shots // columns)), np.nan)
        grid[pattern.order // rows, shot // columns] = value
        return _on_paper(_widened(grid))
    first = np.full(plan.sensing.n_units, np.nan)
    first[pattern.order[::-1]] = value[::-1]
    block = -(-max(shape) // _MAX_SIDE)
    return _on_paper(first.reshape(shape)[::block, ::block])


def order_scale(width: int = 256, height: int = 12) -> Colours:
    """The colours of `order_colours`, from first to last."""
    return _coloured(np.tile(np.linspace(0, 1, width), (height, 1)), _TIME_STOPS)


def _on_paper(values: Floats) -> Colours:
    """Values[H, W] from 0 to 1 in the colours of time; NaN is paper."""
    is_paper = np.isnan(values)
    colours = _coloured(np.where(is_paper, 0, values), _TIME_STOPS)
    colours[is_paper] = _PAPER
    return colours


def _widened(grid: Floats) -> Floats:
    """Columns repeated so that a picture of few shots isn't a sliver, rows where there are few lines."""
    rows, columns = grid.shape
    wide, high = max(1, rows // columns), max(1, columns // rows)
    return grid.repeat(wide, axis=1).repeat(high, axis=0)


def _coloured(values: Floats, stops: npt.NDArray[np.int64]) -> Colours:
    """Values[H, W] from 0 to 1 as colours between evenly spaced stops[n, 3]."""
    position = np.clip(values, 0, 1) * (len(stops) - 1)
    channels = [np.interp(position, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    colours: Colours = np.round(np.stack(channels, axis=-1)).astype(np.uint8)
    return colours


def enlarged(pixels: Colours, side: int) -> Colours:
    """Each pixel repeated a whole number of times, so that the longer side is at least about ``side``."""
    times = max(1, round(side / max(pixels.shape[:2])))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def _binned(grid: Floats) -> Floats:
    """Mean over blocks where the grid is larger than a picture may be."""
    block = -(-max(grid.shape) // _MAX_SIDE)
    if block == 1:
        return grid
    rows, columns = (side // block for side in grid.shape)
    return np.asarray(grid[: rows * block, : columns * block].reshape(rows, block, columns, block).mean((1, 3)))


def _levels(values: npt.NDArray[np.generic], white: float) -> Colours:
    scaled = np.asarray(values, dtype=np.float64) / (white or 1.0)
    levels: Colours = np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return levels
