"""Time of the fast Walsh–Hadamard transform beside the textbook butterfly and the FFT.

    python benchmarks/walsh_hadamard.py

Forward, and forward with backward, of float32[8, 256, 256] on two CPU threads. The three take turns in one
run, so that a busy machine slows all of them; compare the ratios, not the times.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from acqplan.core.math.transforms import walsh_hadamard

Transform = Callable[[torch.Tensor], torch.Tensor]
N_WARM_UP = 5


def butterfly(x: torch.Tensor) -> torch.Tensor:
    """Orthonormal 2D transform in natural order, one ``torch.cat`` of sums and differences a stage."""
    n_pixels = x.shape[-2] * x.shape[-1]
    for _ in range(2):
        x = x.transpose(-2, -1)
        shape = x.shape
        half = 1
        while half < shape[-1]:
            pairs = x.reshape(-1, shape[-1] // (2 * half), 2, half)
            first, second = pairs[:, :, 0], pairs[:, :, 1]
            x = torch.cat((first + second, first - second), dim=-1).reshape(shape)
            half *= 2
    normalised: torch.Tensor = x / n_pixels**0.5
    return normalised


def fft(x: torch.Tensor) -> torch.Tensor:
    """Orthonormal 2D discrete Fourier transform."""
    spectrum: torch.Tensor = torch.fft.fft2(x, norm="ortho")
    return spectrum


def seconds(transform: Transform, x: torch.Tensor, *, backward: bool) -> float:
    """Time of one transform of ``x``, with the gradient of its squared norm where asked for."""
    x = x.detach().requires_grad_(backward)
    start = time.perf_counter()
    transformed = transform(x)
    if backward:
        transformed.backward(transformed.detach())
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    x = torch.randn(8, 256, 256, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(butterfly(x), walsh_hadamard(x))
    transforms: dict[str, Transform] = {"acqplan": walsh_hadamard, "torch.cat butterfly": butterfly, "torch FFT": fft}
    for backward in (False, True):
        times: dict[str, list[float]] = {name: [] for name in transforms}
        for repeat in range(N_WARM_UP + arguments.repeats):
            for name, transform in transforms.items():
                elapsed = seconds(transform, x, backward=backward)
                if repeat >= N_WARM_UP:
                    times[name].append(elapsed)
        medians = {name: statistics.median(values) for name, values in times.items()}
        print("forward and backward" if backward else "forward")
        for name, median in medians.items():
            ratio = median / medians["acqplan"]
            print(f"  {name:<20} {1e3 * median:8.2f} ms (least {1e3 * min(times[name]):.2f}), {ratio:5.2f} x acqplan's")


if __name__ == "__main__":
    main()
