"""Time of reading ISMRMRD raw data in bulk, beside the package ismrmrd acquisition by acquisition.

    python benchmarks/ismrmrd_reading.py

2048 readouts of 8 coils and 256 samples; acqplan's time includes the header, the placement on the grid and the checks,
with ``--oversampling 2`` also the removal of the readout oversampling.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import torch
from ismrmrd import xsd
from ismrmrd.hdf5 import acquisition_dtype

from acqplan.modalities.mri.formats.ismrmrd.reader import read


def write(path: Path, n_lines: int, n_coils: int, n_samples: int, oversampling: int) -> None:
    """A 2D scan of noise with several slices."""
    n_ky = 256
    rng = np.random.default_rng(0)
    rows = np.zeros(n_lines, acquisition_dtype)
    head = rows["head"]
    head["version"], head["number_of_samples"], head["center_sample"] = 1, n_samples, n_samples // 2
    head["active_channels"] = head["available_channels"] = n_coils
    head["idx"]["kspace_encode_step_1"] = np.arange(n_lines) % n_ky
    head["idx"]["slice"] = np.arange(n_lines) // n_ky
    for i in range(n_lines):
        rows["data"][i] = rng.standard_normal(2 * n_coils * n_samples, np.float32)
        rows["traj"][i] = np.zeros(0, np.float32)

    def space(n_readout: int) -> xsd.encodingSpaceType:
        return xsd.encodingSpaceType(
            matrixSize=xsd.matrixSizeType(x=n_readout, y=n_ky, z=1),
            fieldOfView_mm=xsd.fieldOfViewMm(x=float(n_readout), y=256.0, z=5.0),
        )

    header = xsd.ismrmrdHeader(
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123_000_000),
        encoding=[
            xsd.encodingType(
                encodedSpace=space(n_samples),
                reconSpace=space(n_samples // oversampling),
                encodingLimits=xsd.encodingLimitsType(),
                trajectory=xsd.trajectoryType("cartesian"),
            )
        ],
    )
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset(
            "xml", data=[xsd.ToXML(header, encoding="utf-8").encode()], dtype=h5py.special_dtype(vlen=bytes)
        )
        group.create_dataset("data", data=rows, maxshape=(None,), chunks=(1,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=2048)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--oversampling", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        write(path, arguments.lines, arguments.coils, arguments.samples, arguments.oversampling)
        times = []
        for _ in range(arguments.repeats + 1):
            start = time.perf_counter()
            scan = read(path)
            times.append(time.perf_counter() - start)
        print(f"{scan.lines.shape} of {path.stat().st_size / 1e6:.0f} MB")
        print(f"  acqplan   {min(times[1:]):.2f} s (least of {arguments.repeats}; {times[0]:.2f} s the first time)")
        start = time.perf_counter()
        with ismrmrd.Dataset(str(path), mode="r") as dataset:
            some = min(64, arguments.lines)
            for i in range(some):
                dataset.read_acquisition(i)
        each = (time.perf_counter() - start) / some
        print(f"  ismrmrd   {each * arguments.lines:.2f} s (from {some} acquisitions, one by one)")


if __name__ == "__main__":
    main()
