"""What a training step takes: acqplan's, beside LOUPE's U-Net, deepinv's unrolled network, and another source tree.

    python benchmarks/training_step.py --images scans/ --deepinv /path/to/python
    python benchmarks/training_step.py --images scans/ --against ../older --sizes small
    python benchmarks/training_step.py --images scans/ --against ../older --quality 500 --test other-people/

Every contestant is a process of its own with the same images, batch, size, budget and threads; their steps are taken in
turns, so that what else the machine does meets all alike. Ratios are medians of those of each turn, with a 95 %
bootstrap interval: *processor* seconds, and *wall* in brackets; above 1 the other takes longer than acqplan.

* **acqplan**: `take_step` with ``unrolled:small`` and ``:medium`` on a fixed pattern: images drawn, given a phase,
  measured with noise, several coils with maps estimated as in a scan; network, loss, gradient, optimiser.
* **LOUPE** (arXiv 1907.11374): probabilities of all units by a sigmoid of slope 5, rescaled to the budget, a relaxed
  draw of slope 12, noise-free Fourier samples of the image, a U-Net of five resolutions with 64 to 1024 features (two
  3 × 3 convolutions, leaky ReLU and batch normalisation each), its result added to the zero-filled image, mean absolute
  error, Adam. One coil.
* **deepinv**: its ``MoDL`` with its own denoiser and number of iterations, mean squared error, Adam. ``--deepinv``
  names a Python that has it, in which acqplan needn't be installed; without one it is left out.
* ``--against TREE``: the same step by another source tree (of another commit), as far as it has the network.
``--quality STEPS`` trains by both trees, in pairs of the same seed, pattern settings and steps, and tells PSNR and SSIM
of each on the images of ``--test`` and the differences.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve()
SIDE, BATCH, BUDGET = 128, 2, 4
SIZES: dict[str, dict[str, Any]] = {"small": {"knows_noise": True}, "medium": {"knows_noise": True, "levels": 2}}
Step = Callable[[], object]


class LeftOut(Exception):
    """A contestant that can't be timed here; says why."""


# --- contestants: each runs in a process of its own --------------------------------------------------


def recipe_of(how: dict[str, Any]) -> Any:
    """A recipe of this tree or of an older one, which may lack what the network is told."""
    import inspect

    from acqplan.modalities.mri.settings import MRISettings
    from acqplan.plan.components import Component
    from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings
    from acqplan.reconstructors.unrolled import Unrolled

    known = inspect.signature(Unrolled).parameters
    options = {name: value for name, value in SIZES[how["size"]].items() if name in known}
    if how["size"] == "medium" and "levels" not in options:
        raise LeftOut("has no unrolled:medium")
    has_precision = "precision" in inspect.signature(TrainingSettings).parameters
    precision = {"precision": how["precision"]} if how.get("precision") and has_precision else {}
    training = TrainingSettings(steps=how.get("steps", 1000), batch_size=BATCH, threads=how["threads"], **precision)
    return Recipe(
        "mri",
        how.get("seed", 0),
        ImageSettings(how["images"], [SIDE, SIDE]),
        Component("cartesian_mri", {"encoding": how["encoding"]}),
        BudgetSettings(f"{BUDGET}x", 12),
        Component("complex_gaussian", {"std": 0.01}),
        designer=Component("variable-density", {"power": 2.5}),
        reconstructor=Component("unrolled", options),
        training=training,
        instrument=MRISettings(coils=how["coils"]),
    )


def acqplan_step(how: dict[str, Any]) -> Step:
    from acqplan.learning.batches import Batches
    from acqplan.learning.objective import build_objective
    from acqplan.learning.resolve import resolve
    from acqplan.learning.schedule import Schedule
    from acqplan.learning.state import TrainingState
    from acqplan.learning.step import take_step

    problem = resolve(recipe_of(how))
    state = TrainingState(problem)
    state.schedule = Schedule(1 << 20, 0)
    state.freeze()
    batches, objective = Batches(problem, state.device), build_objective(problem)
    return lambda: take_step(state, batches, objective)


class LoupeUNet(torch.nn.Module):
    """Five resolutions, two convolutions at each, joined across; see the head of this file."""

    def __init__(self, channels: int, features: int = 64, levels: int = 5) -> None:
        super().__init__()
        widths = [features << level for level in range(levels)]
        self.down = torch.nn.ModuleList(
            self._pair(before, width) for before, width in zip([channels, *widths], widths, strict=False)
        )
        self.up = torch.nn.ModuleList(
            self._pair(below + width, width) for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = torch.nn.Conv2d(features, channels, 1)

    @staticmethod
    def _pair(before: int, width: int) -> torch.nn.Sequential:
        layers: list[torch.nn.Module] = []
        for n in (before, width):
            layers += [torch.nn.Conv2d(n, width, 3, padding=1), torch.nn.LeakyReLU(0.3), torch.nn.BatchNorm2d(width)]
        return torch.nn.Sequential(*layers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        values, across = image, []
        for i, pair in enumerate(self.down):
            values = pair(values if i == 0 else torch.nn.functional.avg_pool2d(values, 2))
            across.append(values)
        for pair, beside in zip(self.up, across[-2::-1], strict=True):
            values = torch.nn.functional.interpolate(values, scale_factor=2, mode="nearest")
            values = pair(torch.cat([values, beside], 1))
        return image + self.last(values)


class Loupe(torch.nn.Module):
    def __init__(self, encoding: str) -> None:
        super().__init__()
        shape = (SIDE, 1) if encoding == "lines" else (SIDE, SIDE)
        chance = torch.rand(shape).clamp(0.01, 0.99)
        self.logits = torch.nn.Parameter((chance / (1 - chance)).log() / 5)
        self.network = LoupeUNet(2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        chance = (5 * self.logits).sigmoid()
        mean, share = chance.mean(), 1 / BUDGET
        fewer, more = share / mean, (1 - share) / (1 - mean)
        chance = torch.where(mean > share, chance * fewer, 1 - (1 - chance) * more)
        drawn = (12 * (chance - torch.rand_like(chance))).sigmoid()
        kspace = torch.fft.fft2(image, norm="ortho") * torch.fft.ifftshift(drawn)
        return self.network(torch.view_as_real(torch.fft.ifft2(kspace, norm="ortho")).permute(0, 3, 1, 2).contiguous())


def images_of(how: dict[str, Any]) -> torch.Tensor:
    return torch.from_numpy(np.load(how["stack"]))


def some(images: torch.Tensor) -> torch.Tensor:
    """A batch of magnitudes with a random constant phase."""
    chosen = images[torch.randint(len(images), (BATCH,))]
    phase = 2 * torch.pi * torch.rand(BATCH, 1, 1)
    return chosen * torch.polar(torch.ones_like(phase), phase)


def loupe_step(how: dict[str, Any]) -> Step:
    images, model = images_of(how), Loupe(how["encoding"])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        batch = some(images)
        truth = torch.view_as_real(batch).permute(0, 3, 1, 2)
        optimiser.zero_grad()
        (model(batch) - truth).abs().mean().backward()
        optimiser.step()

    return step


def deepinv_step(how: dict[str, Any]) -> Step:
    try:
        import deepinv
    except ImportError as error:
        raise LeftOut("isn't installed") from error

    images, n_coils = images_of(how), how["coils"]
    shape = (1, 1, SIDE, 1) if how["encoding"] == "lines" else (1, 1, SIDE, SIDE)
    mask = (torch.rand(shape) < 1 / BUDGET).float().expand(1, 1, SIDE, SIDE)
    if n_coils == 1:
        physics = deepinv.physics.MRI(mask=mask, img_size=(2, SIDE, SIDE))
    else:
        y, x = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
        angle = 2 * torch.pi * torch.arange(n_coils)[:, None, None] / n_coils
        maps = torch.polar(torch.exp(-((x - angle.cos()) ** 2) - (y - angle.sin()) ** 2), angle + x)
        maps = maps / maps.abs().square().sum(0).sqrt()
        physics = deepinv.physics.MultiCoilMRI(mask=mask, coil_maps=maps[None], img_size=(2, SIDE, SIDE))
    model = deepinv.models.MoDL()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        truth = torch.view_as_real(some(images)).permute(0, 3, 1, 2).contiguous()
        with torch.no_grad():
            data = physics(truth)
            data = data + 0.01 * torch.randn_like(data)
        optimiser.zero_grad()
        (model(data, physics) - truth).square().mean().backward()
        optimiser.step()

    return step


STEPS: dict[str, Callable[[dict[str, Any]], Step]] = {
    "acqplan": acqplan_step,
    "loupe": loupe_step,
    "deepinv": deepinv_step,
}


def quality(how: dict[str, Any]) -> dict[str, float]:
    """Train, and the mean PSNR and SSIM of the test images."""
    from acqplan.images import load_stacks
    from acqplan.learning.evaluation import Scene, evaluate
    from acqplan.learning.image_sets import evaluation_images
    from acqplan.learning.training import design

    plan = design(recipe_of(how))
    records = evaluation_images(plan.recipe, load_stacks(how["test"])).test
    chosen = records[:: max(1, len(records) // how["n_test"])]
    found = evaluate(Scene(plan.sensing, plan.pattern, plan.noise), {"plan": plan.reconstructor}, chosen).means["plan"]
    return {"psnr_db": found["psnr_db"], "ssim": found["ssim"]}


def work(how: dict[str, Any]) -> None:
    """Take as many steps as each line of the input says, and tell what they took."""
    torch.set_num_threads(how["threads"])
    torch.manual_seed(0)
    try:
        if how["kind"] == "quality":
            print(json.dumps(quality(how)), flush=True)
            return
        step = STEPS[how["kind"]](how)
    except LeftOut as reason:
        print(json.dumps({"left_out": str(reason)}), flush=True)
        return
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            step()
        taken = time.perf_counter() - wall, time.process_time() - processor
        print(json.dumps({"wall": taken[0] / int(line), "processor": taken[1] / int(line)}), flush=True)


# --- the comparison ----------------------------------------------------------------------------------


class Worker:
    """A contestant's process."""

    def __init__(self, name: str, how: dict[str, Any], tree: Path, python: str = sys.executable) -> None:
        self.name = name
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(how["threads"])}
        command = [python, str(HERE), "--work", json.dumps(how)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @cached_property
    def first(self) -> dict[str, Any]:
        """What it says once it is ready: nothing, why it is left out, or a quality."""
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {"left_out": "broke off; its message stands above"}

    def take(self, n: int) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{n}\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


KINDS = ("processor", "wall")


def ratio(taken: list[float], own: list[float]) -> str:
    """Median of the ratios of each turn, with its bootstrap interval."""
    each = np.array(taken) / np.array(own)
    draws = np.random.default_rng(0).integers(len(each), size=(2000, len(each)))
    low, high = np.percentile(np.median(each[draws], axis=1), [2.5, 97.5])
    return f"{np.median(each):.2f} [{low:.2f}, {high:.2f}]"


def one_setting(arguments: argparse.Namespace, stack: str, encoding: str, coils: int) -> None:
    how = {
        "images": arguments.images,
        "stack": stack,
        "encoding": encoding,
        "coils": coils,
        "threads": arguments.threads,
    }
    root = HERE.parents[1]
    workers = []
    for size in arguments.sizes:
        mine = {**how, "kind": "acqplan", "size": size}
        for precision in arguments.precisions:
            workers.append(Worker(f"{size}, {precision}", {**mine, "precision": precision}, root))
        if arguments.against:
            workers.append(Worker(f"{size}, {arguments.against.name}", mine, arguments.against.resolve()))
    if not arguments.no_others:
        if coils == 1:
            workers.append(Worker("LOUPE", {**how, "kind": "loupe"}, root))
        python = arguments.deepinv or sys.executable
        workers.append(Worker("deepinv MoDL", {**how, "kind": "deepinv"}, root, python))
    running = []
    for worker in workers:
        if "left_out" in worker.first:
            print(f"{worker.name} is left out: it {worker.first['left_out']}.")
            worker.end()
        else:
            running.append(worker)
    taken: dict[str, list[dict[str, float]]] = {worker.name: [] for worker in running}
    for turn in range(arguments.turns + 1):
        for worker in running:
            found = worker.take(arguments.steps)
            if turn:  # the first is to warm up
                taken[worker.name].append(found)
    for worker in running:
        worker.end()
    print(f"\n## {encoding}, {coils} coil{'s' * (coils > 1)}\n")
    print(f"{'':<28}{'ms':>7}" + "".join(f"{'over ' + size:>42}" for size in arguments.sizes))
    for name, rows in taken.items():
        text = f"{name:<28}{1e3 * float(np.median([row['processor'] for row in rows])):>7.0f}"
        for size in arguments.sizes:
            shares = [
                ratio([row[kind] for row in rows], [row[kind] for row in taken[f"{size}, {arguments.precisions[0]}"]])
                for kind in KINDS
            ]
            text += f"{f'{shares[0]} ({shares[1]})':>42}"
        print(text, flush=True)


def compare_quality(arguments: argparse.Namespace) -> None:
    """Both trees, or a precision and float32, trained from the same seeds for as many steps."""
    root, other = HERE.parents[1], (arguments.against or HERE.parents[1]).resolve()
    for encoding in arguments.encodings:
        for size in arguments.sizes:
            differences = []
            for seed in range(arguments.seeds):
                how = {"kind": "quality", "images": arguments.images, "test": arguments.test, "encoding": encoding}
                how |= {"coils": arguments.coils[0], "size": size, "threads": arguments.threads, "seed": seed}
                how |= {"steps": arguments.quality, "n_test": arguments.n_test}
                pair = []
                for tree, precision in ((root, arguments.precisions[0]), (other, "float32")):
                    worker = Worker("", {**how, "precision": precision}, tree)
                    pair.append(worker.first)
                    worker.end()
                print(f"{encoding} {size} seed {seed}: now {pair[0]}, other {pair[1]}", flush=True)
                differences.append([pair[0][name] - pair[1][name] for name in ("psnr_db", "ssim")])
            psnr, ssim = np.mean(differences, axis=0)
            print(f"{encoding} {size}: now - other {psnr:+.3f} dB, SSIM {ssim:+.4f}, mean of {len(differences)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--images", nargs="+", default=["sample:brain"])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--encodings", nargs="+", choices=["points", "lines"], default=["points", "lines"])
    parser.add_argument("--coils", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--steps", type=int, default=2, help="of each turn")
    parser.add_argument("--against", type=Path, help="another source tree")
    parser.add_argument("--precisions", nargs="+", choices=["float32", "bfloat16"], default=["float32"])
    parser.add_argument("--no-others", action="store_true", help="neither LOUPE nor deepinv")
    parser.add_argument("--deepinv", help="a Python that has deepinv")
    parser.add_argument("--quality", type=int, metavar="STEPS", help="compare what is learned in so many steps instead")
    parser.add_argument("--test", nargs="+", default=["sample:brain"])
    parser.add_argument("--n-test", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work)
        return
    if arguments.quality:
        compare_quality(arguments)
        return
    from acqplan.images import fit, load_stacks

    with TemporaryDirectory() as folder:
        stacks = [fit(each, (SIDE, SIDE)).images for each in load_stacks(arguments.images)]
        images = np.concatenate([np.abs(each) / np.percentile(np.abs(each), 99.9) for each in stacks])
        stack = str(Path(folder) / "images.npy")
        np.save(stack, images.astype(np.complex64))
        for coils in arguments.coils:
            for encoding in arguments.encodings:
                one_setting(arguments, stack, encoding, coils)


if __name__ == "__main__":
    main()
