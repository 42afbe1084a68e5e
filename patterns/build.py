"""Make ready plans from a base, one after another, and the index of this folder.

    python patterns/build.py mri --images train/ --base brain-lines.acqbase --name brain-lines-256 --budget 4x 6x 8x \\
        --steps 2000 --threads 2
    python patterns/build.py dmd --images fluorescence/ --base cells-64.acqbase --name cells-64 \\
        --budget 6.25% 12.5% 25% --photons 20 200 --scheme pairs s-matrix --steps 1000 --threads 2
    python patterns/build.py index

Each combination of the lists becomes a folder: the plan, its exported files, `evidence.json`, `preview.png` (the
pattern), `plan.html` and `remake.sh` with the commands that made all of it. What is complete is left as it is; an
interrupted training goes on. The base is put into `bases/`. Exports that would make the files beside a plan larger than
1.5 MB are left out. Flags after `--` are handed to `acqplan design`. A base serves one display scheme.

Held-out subjects of a plan are those of its base only if both split the same images alike: give the folder that the
base was trained on. A base of another seed is refused.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acqplan.plan.plan import Plan

FOLDER = Path(__file__).parent
MOST_BESIDE = 1_500_000  # bytes of the files beside a plan
MOST_BYTES = 60_000_000  # of this folder
EXPORTS = {
    "mri": (["numpy"], ["table"], ["bart"]),
    "dmd": (["numpy"], ["table"], ["dmd-tiff", "--device", "1024x768"]),
}
MARKS = {name: (f"<!-- {name}: begin -->", f"<!-- {name}: end -->") for name in ("plans", "bases")}


@dataclass(frozen=True)
class Ready:
    """A plan to make: its name, its kind of instrument, a folder of images or a sample, and flags of ``design``."""

    name: str
    modality: str
    images: str
    flags: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return FOLDER / self.name

    @property
    def file(self) -> str:
        """The plan's file in it."""
        return f"{self.name}.acqplan"

    @property
    def is_of_sample(self) -> bool:
        """Whether the images come with acqplan; a folder is linked as ``images``, so that no plan names it."""
        return self.images.startswith("sample:")

    def design(self) -> list[str]:
        """The command that makes the plan."""
        images = self.images if self.is_of_sample else "images"
        return ["design", self.modality, "--images", images, *self.flags, "--overwrite", "-o", self.file]

    def show(self) -> list[str]:
        """The command that makes its page and its picture."""
        return ["show", self.file, "--html", "plan.html", "--png", "preview.png", "--overwrite"]

    def export(self, form: Sequence[str]) -> list[str]:
        """The command that writes a format's files, with its settings."""
        return ["export", self.file, "--to", *form, "--overwrite", "-o", form[0]]

    def script(self, exports: Sequence[Sequence[str]]) -> str:
        """`remake.sh`."""
        commands = [self.design(), *map(self.export, exports), self.show()]
        lines = "\n".join(f"acqplan {shlex.join(command)}" for command in commands)
        usage = "" if self.is_of_sample else " IMAGES, with the folder of training images (../CREDITS.md)"
        here = 'cd "$(dirname "$0")"\n'
        link = (
            'images=$(cd "${1:?name the folder of training images}" && pwd)\n'
            f"{here}"
            'ln -sfn "$images" images\n'
            "trap 'rm -f images' EXIT\n"
        )
        return (
            f"#!/bin/sh\n# Remakes this folder: ./remake.sh{usage}.\nset -e\n"
            f"{here if self.is_of_sample else link}{lines}\n"
            f"acqplan show {self.file} --json > evidence.json\n"
        )


def wanted(arguments: argparse.Namespace, base: Path | None) -> Iterator[Ready]:
    """Every combination of the lists."""
    shared = [] if base is None else ["--base", f"../bases/{base.name}"]
    for name in ("size", "designer", "seed", "steps", "threads", "device"):
        value = getattr(arguments, name)
        shared += [] if value is None else [f"--{name}", str(value)]
    for budget, photons, scheme in itertools.product(arguments.budget, arguments.photons, arguments.scheme):
        words, flags = [arguments.name, budget.replace("%", "pct").replace(" ", "")], ["--budget", budget]
        if scheme is not None:
            words, flags = [*words, scheme], [*flags, "--scheme", scheme]
        if photons is not None:
            words, flags = [*words, f"{photons:g}e"], [*flags, "--photons", f"{photons:g}"]
        yield Ready("-".join(words), arguments.modality, arguments.images, (*flags, *shared, *arguments.more))


def make(ready: Ready) -> None:
    """The folder of a plan; one that is complete stays."""
    folder = ready.folder
    if (folder / "remake.sh").exists():
        print(f"{ready.name}: is there", flush=True)
        return
    print(f"{ready.name}: training", flush=True)
    folder.mkdir(exist_ok=True)
    link = folder / "images"
    link.unlink(missing_ok=True)
    if not ready.is_of_sample:
        link.symlink_to(Path(ready.images).resolve(), target_is_directory=True)
    try:
        resumes = ["--resume"] if (folder / f"{ready.file}.checkpoint").exists() else []
        _acqplan([*ready.design(), *resumes], folder)
    finally:
        link.unlink(missing_ok=True)
    _acqplan(ready.show(), folder)
    (folder / "evidence.json").write_text(_acqplan(["show", ready.file, "--json"], folder), encoding="utf-8")
    exports = []
    for form in EXPORTS[ready.modality]:
        _acqplan(ready.export(form), folder)
        if size_of(folder) - (folder / ready.file).stat().st_size > MOST_BESIDE:
            shutil.rmtree(folder / form[0])
            print(f"{ready.name}: without {form[0]}, which would make the folder too large", flush=True)
        else:
            exports.append(form)
    script = folder / "remake.sh"  # last: it says that the folder is complete
    script.write_text(ready.script(exports), encoding="utf-8")
    script.chmod(0o755)
    whole = size_of(FOLDER)
    much = " THAT IS TOO MUCH." if whole > MOST_BYTES else ""
    print(f"{ready.name}: {size_of(folder) / 1e3:.0f} kB; all of patterns/ {whole / 1e6:.1f} MB.{much}", flush=True)


def _acqplan(command: Sequence[str], folder: Path) -> str:
    """Run a command in a folder; what it printed. One that fails ends the builder."""
    from acqplan.cli import main as acqplan

    told = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(told):
        code = acqplan(list(command))
    if code:
        sys.exit(code)
    return told.getvalue()


def with_base(path: Path | None, seed: int) -> Path | None:
    """The base in `bases/`, put there without the names of its maker's folders."""
    if path is None:
        return None
    from acqplan.plan.plan import Plan

    base = nameless(Plan.load(path))
    made_with = base.recipe.seed
    if made_with != seed:
        sys.exit(f"{path} is of the seed {made_with}: with --seed {seed} it may have seen the held-out subjects.")
    kept = FOLDER / "bases" / f"{path.stem}.acqbase"
    if kept.exists() and Plan.load(kept).plan_id != base.plan_id:
        sys.exit(f"{kept} is another base: give this one another name.")
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        base.save(kept)
    return kept


def nameless(base: Plan) -> Plan:
    """The base as it would be if its images had stood in a folder ``images``; itself if they did."""
    recipe, text = base.recipe, json.dumps(base.evidence)
    for folder in recipe.images.paths:
        text = text.replace(folder.rstrip("/"), "images")
    older = recipe.training.base
    changed = recipe.with_settings("images", paths=["images"])
    changed = changed.with_settings("training", base=None if older is None else Path(older).name)
    return base if changed == recipe else replace(base, recipe=changed, evidence=json.loads(text)).with_vector()


# --- the index ---------------------------------------------------------------------------------------


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def what(told: dict[str, Any]) -> str:
    """``MRI, lines, 256 × 256, 8 coils``: what a plan is for, from its evidence."""
    sensing, coils = told["sensing"], told["evidence"].get("coils", {}).get("n", 1)
    rows, columns = sensing["image_shape"]
    words = {"cartesian_mri": "MRI", "hadamard_dmd": "DMD"}
    parts = [words.get(sensing["kind"], sensing["kind"])]
    parts += [str(sensing[name]) for name in ("encoding", "scheme") if name in sensing]
    parts += [f"{rows} × {columns}"] + ([f"{coils} coils"] if coils > 1 else [])
    return ", ".join(parts)


def noise_words(noise: dict[str, Any]) -> str:
    """``0.005`` of the peak, or ``200 e``."""
    return f"{noise['photons']:g} e" if "photons" in noise else f"{noise.get('std', 0):g}"


def plan_rows() -> list[list[str]]:
    """A row of the index for each plan."""
    rows = []
    for file in sorted(FOLDER.glob("*/evidence.json")):
        told, folder = json.loads(file.read_text(encoding="utf-8")), file.parent
        evidence = told["evidence"]
        mean = evidence["held_out"]["mean"]["plan"]
        subjects = len(evidence["held_out"].get("subjects", {}))
        exports = [f"`{path.parent.name}/`" for path in sorted(folder.glob("*/manifest.json"))]
        rows.append(
            [
                f"[`{folder.name}/`]({folder.name}/)",
                what(told),
                f"{told['count']} of {told['n_units']} {told['unit']}s",
                f"{told['acceleration']:.3g}x",
                noise_words(told["noise"]),
                f"{mean['psnr_db']:.2f}",
                f"{mean['ssim']:.4f}",
                f"{evidence['n_test']} of {subjects}",
                f"{size_of(folder) / 1e3:.0f}",
                " ".join(exports),
                f"`{told['plan_id'][:12]}`",
            ]
        )
    return rows


def base_rows() -> list[list[str]]:
    """A row for each base."""
    from acqplan.plan.plan import Plan

    rows = []
    for path in sorted((FOLDER / "bases").glob("*.acqbase")):
        base = Plan.load(path)
        rows.append(
            [
                f"[`{path.name}`](bases/{path.name})",
                what({"sensing": {"kind": base.sensing.kind, **base.sensing.spec()}, "evidence": base.evidence}),
                noise_words(base.noise.spec()),
                str(base.recipe.training.steps),
                f"{base.reconstructor.n_parameters:,}",
                f"{path.stat().st_size / 1e3:.0f}",
                f"`{base.plan_id[:12]}`",
            ]
        )
    return rows


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def index(text: str) -> str:
    """The text of README.md with the tables of what is there."""
    plans = ("plan", "what", "count", "R", "noise", "PSNR / dB", "SSIM", "held out", "kB", "files", "plan id")
    bases = ("base", "what", "noise", "steps", "parameters", "kB", "plan id")
    tables = {"plans": table(plans, plan_rows()), "bases": table(bases, base_rows())}
    for name, (begin, end) in MARKS.items():
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{tables[name]}\n{end}{rest.partition(end)[2]}"
    return text


def write_index() -> None:
    """Bring README.md up to date."""
    readme = FOLDER / "README.md"
    readme.write_text(index(readme.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """Make the plans that were asked for, then the index."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modality", choices=[*EXPORTS, "index"])
    parser.add_argument("--images", help="folder of training images")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--name", help="how the plans' names begin")
    parser.add_argument("--budget", nargs="+", default=[])
    parser.add_argument("--photons", nargs="+", type=float, default=[None])
    parser.add_argument("--scheme", nargs="+", default=[None])
    parser.add_argument("--size")
    parser.add_argument("--designer")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device")
    given = sys.argv[1:]
    split = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:split])
    arguments.more = given[split + 1 :]
    if arguments.modality != "index":
        if not (arguments.images and arguments.name and arguments.budget):
            parser.error("name --images, --name and --budget")
        base = with_base(arguments.base, arguments.seed)
        for ready in wanted(arguments, base):
            make(ready)
    write_index()


if __name__ == "__main__":
    main()
