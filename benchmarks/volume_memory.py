"""Peak memory and time of the reconstruction of a whole 3D scan with several coils.

    python benchmarks/volume_memory.py
    python benchmarks/volume_memory.py --acceleration 1 --reconstructors zero-filled

Ellipsoids of 192 x 256 x 256 voxels (readout, ky, kz), seen by 8 coils and sampled at random points with a fully
measured centre, are written as an ISMRMRD file. For each reconstructor a process of its own reads the file, verifies
it, estimates the coil maps from the centre, reconstructs some of the positions along the readout (all with --slices 0),
and writes a whole volume as NIfTI. Peak memory is that of this process. Times are those of the processor, which a busy
machine changes less than the clock's; with one thread they are about what an idle clock would show. The time of
a volume is extrapolated from those positions. Networks are untrained: that changes their images, not their time.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from acqplan.core import registry
from acqplan.core.math.transforms import fft_centred
from acqplan.formats.contracts import Result
from acqplan.formats.lookup import for_acquired
from acqplan.formats.results import part_of, write_images
from acqplan.modalities.mri.coils import simulated_maps
from acqplan.modalities.mri.formats.ismrmrd import writer as ismrmrd_writer
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.modalities.mri.raw.data import RawData
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe
from acqplan.plan.verification import refuse_errors, verify
from acqplan.sensing.acquisition import Geometry
from acqplan.sensing.budget import Budget
from acqplan.sensing.pattern import Pattern

NOISE_STD = 0.01
MIB = 1 << 20


def make_plan(side: int, acceleration: float, reconstructor: str) -> Plan:
    """Random points with a centre of 24 x 24."""
    sensing = CartesianMRI((side, side), "points")
    centre = sensing.calibration_units(min(24, side // 2))
    others = np.setdiff1d(np.arange(sensing.n_units), centre)
    n_others = max(0, round(sensing.n_units / acceleration) - centre.size)
    chosen = np.random.default_rng(0).permutation(others)[:n_others]
    pattern = Pattern(np.concatenate([centre, np.sort(chosen)]), sensing.n_units, centre)
    budget = Budget(pattern.n_readings, sensing.n_units, centre.size)
    cls = registry.find("reconstructors", reconstructor)
    torch.manual_seed(0)
    network = cls(is_complex=True) if cls.is_trained else cls()
    return Plan(sensing, budget, pattern, ComplexGaussian(NOISE_STD), network, Recipe("mri"))


def phantom(position: float, side: int) -> np.ndarray:
    """complex64[side, side]: ellipsoids cut at ``position`` in -1 to 1, with a smooth phase."""
    y = np.linspace(-1, 1, side)[:, None]
    ellipsoids = ((0, 0, 0, 0.9, 0.75, 1.0), (0.2, -0.1, 0.1, 0.4, 0.3, -0.4), (-0.3, 0.2, -0.2, 0.2, 0.35, 0.3))
    image = np.zeros((side, side))
    for x0, y0, z0, a, b, value in ellipsoids:
        image += value * (((position - x0) / 0.85) ** 2 + ((y - y0) / a) ** 2 + ((y.T - z0) / b) ** 2 < 1)
    return (image * np.exp(1j * (y + 0.5 * y.T * position))).astype(np.complex64)


def write_scan(plan: Plan, n_readout: int, n_coils: int, path: Path) -> None:
    """A raw scan of the phantom: k-space along all three axes."""
    side = plan.sensing.image_shape[0]
    generator = torch.Generator().manual_seed(0)
    maps = torch.as_tensor(simulated_maps(n_coils, (side, side), generator))
    units = torch.from_numpy(plan.pattern.order.astype(np.int64))
    lines = np.empty((plan.pattern.n_readings, n_coils, n_readout), np.complex64)
    for x, position in enumerate(np.linspace(-1, 1, n_readout)):
        kspace = fft_centred(torch.from_numpy(phantom(position, side)) * maps, (-2, -1))
        lines[..., x] = kspace.flatten(1)[:, units].T.numpy()
    for start in range(0, len(lines), 1024):
        lines[start : start + 1024] = fft_centred(torch.from_numpy(lines[start : start + 1024]), (-1,)).numpy()
    random = np.random.default_rng(1)
    for line in lines:
        noise = random.standard_normal((2, *line.shape), dtype=np.float32) * (NOISE_STD / np.sqrt(2))
        line += noise[0] + 1j * noise[1]
    n, zeros = len(lines), np.zeros(len(lines), np.int32)
    ky, kz = np.divmod(plan.pattern.order, side)
    raw = RawData(
        lines=lines,
        ky=ky.astype(np.int32),
        kz=kz.astype(np.int32),
        slice=zeros,
        repetition=zeros,
        average=zeros,
        is_calibration=np.isin(plan.pattern.order, plan.pattern.calibration),
        is_imaging=np.ones(n, bool),
        matrix=(n_readout, side, side),
        source="phantom",
        field_of_view_mm=(float(n_readout), float(side), float(side)),
        geometry=Geometry(np.eye(4)),
        texts={"plan_id": plan.plan_id, "pattern_digest": plan.pattern.digest},
    )
    ismrmrd_writer.write(raw, path)


def measure(plan_path: Path, scan_path: Path, n_slices: int, output: Path) -> dict[str, float]:
    """What `acqplan reconstruct` does, for ``n_slices`` of the images (0: all); processor seconds, and peak memory."""
    start = time.process_time()
    plan = Plan.load(plan_path)
    scan = for_acquired(scan_path).read_scan(scan_path, plan)
    read = time.process_time()
    findings = verify(plan, scan)
    refuse_errors(findings)
    verified = time.process_time()
    n = len(scan.acquisitions)
    chosen = np.unique(np.linspace(0.2 * n, 0.8 * n, n_slices).astype(int)) if n_slices else np.arange(n)
    images = np.zeros((n, *plan.sensing.image_shape), np.float32)
    some = [scan.acquisitions[int(i)] for i in chosen] if n_slices else scan.acquisitions
    ends = [verified]
    for i, image in zip(chosen, plan.reconstruct_scan(type(scan)(some, scan.source)), strict=True):
        images[i] = part_of(image, "magnitude")
        ends.append(time.process_time())
    seconds = np.diff(ends)
    reconstructed = ends[-1]
    stamp = {"plan_id": plan.plan_id, "pattern_digest": plan.pattern.digest, "part": "magnitude"}
    write_images(Result(images, stamp, scan.geometry), output)
    return {
        "read_s": read - start,
        "verify_s": verified - read,
        "first_s": float(seconds[0]),  # what all images share, and the import of the coils' library, are in it
        "slice_s": float(np.median(seconds[1:])) if len(seconds) > 1 else float(seconds[0]),
        "write_s": time.process_time() - reconstructed,
        "slices": len(chosen),
        "images": n,
        "findings": len(findings),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # Linux counts in KiB
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256, help="ky and kz positions")
    parser.add_argument("--readout", type=int, default=192)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--acceleration", type=float, default=4)
    parser.add_argument("--slices", type=int, default=3, help="reconstructed; 0 for all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reconstructors", nargs="+", default=["zero-filled", "unrolled"])
    parser.add_argument("--child", nargs=3, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.child is not None:
        print(json.dumps(measure(arguments.child[0], arguments.child[1], arguments.slices, arguments.child[2])))
        return
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        for reconstructor in arguments.reconstructors:
            plan = make_plan(arguments.side, arguments.acceleration, reconstructor)
            plan_path, scan_path, output = folder / f"{reconstructor}.acqplan", folder / "scan.mrd", folder / "out.nii"
            plan.save(plan_path)
            if not scan_path.exists():
                write_scan(plan, arguments.readout, arguments.coils, scan_path)
                size = scan_path.stat().st_size / MIB
                print(f"{plan.pattern.n_readings} readouts of {arguments.coils} coils, {size:.0f} MiB on disk")
            words = ["--child", str(plan_path), str(scan_path), str(output)]
            words += ["--slices", str(arguments.slices), "--threads", str(arguments.threads)]
            run = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True)
            if run.returncode:
                sys.exit(run.stderr)
            found = json.loads(run.stdout.splitlines()[-1])
            output.unlink()
            once = sum(found[f"{name}_s"] for name in ("read", "verify", "first", "write"))
            total = once + (found["images"] - 1) * found["slice_s"]
            print(
                f"{reconstructor:<14} peak {found['peak_mib'] / 1024:.2f} GiB; read {found['read_s']:.1f} s, "
                f"verify {found['verify_s']:.1f} s, first slice {found['first_s']:.1f} s, then "
                f"{found['slice_s']:.2f} s a slice ({found['slices']:.0f} of {found['images']:.0f}), "
                f"write {found['write_s']:.1f} s; the volume {total / 60:.1f} min; {found['findings']:.0f} findings"
            )


if __name__ == "__main__":
    main()
