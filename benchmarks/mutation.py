"""Mutation run over the core: break one place at a time, run the nearest tests, list what no test noticed.

    pip install -c constraints.txt -e '.[dev,mutation]'
    nice python benchmarks/mutation.py --sample 10                 # ten mutants of every module
    nice python benchmarks/mutation.py sensing/budget.py           # every mutant of one module

Mutants are made by Cosmic Ray's operators, and by leaving out single statements. The tree is copied, so that the
checkout stays as it is. Needs fork (Linux, macOS): the libraries are imported once, each mutant is tested in a child.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import functools
import importlib
import itertools
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).parents[1]
NEAREST = {
    "core/seeding.py": ["test_seeding"],
    "formats/export.py": ["test_export", "test_instruments_table", "test_instrument_laws"],
    "sensing/pattern.py": ["test_pattern"],
    "sensing/budget.py": ["test_budget", "test_plan", "test_resolve"],
    "sensing/measurement.py": ["test_measurement", "test_misfits"],
    "sensing/acquisition.py": ["test_acquisition", "test_plan", "test_verification", "test_instruments_acquired"],
    "sensing/constraints.py": ["test_constraints"],
    "sensing/unit_list.py": ["test_constraints"],
    "sensing/model.py": ["test_sensing_laws", "test_measurement"],
    "sensing/noise.py": ["test_noise"],
    "sensing/table_terms.py": ["test_instruments_table"],
    "modalities/*/noise.py": ["test_noise"],
    "plan/plan.py": ["test_plan", "test_verification"],
    "plan/file.py": ["test_plan", "test_plan_file"],
    "plan/vector.py": ["test_plan_vector"],
    "plan/evidence.py": ["test_plan"],
    "plan/verification.py": ["test_verification", "test_verification_dmd", "test_verification_mri"],
    "plan/*.py": ["test_recipe", "test_resolve", "test_plan"],
    "learning/from_plan.py": ["test_from_plan"],
    "learning/critic.py": ["test_search"],
    "learning/search.py": ["test_search"],
    "learning/base.py": ["test_base"],
    "learning/extent.py": ["test_constraints", "test_resolve"],
    "designers/learned.py": ["test_learned_pattern", "test_designers", "test_designer_laws"],
    "designers/*repeats.py": ["test_repeats", "test_designer_laws"],
    "designers/water_filling.py": ["test_repeats", "test_designer_laws"],
    "designers/any_pattern.py": ["test_base", "test_designer_laws"],
    "designers/orders.py": ["test_orders", "test_order_laws"],
    "designers/blue_noise.py": ["test_blue_noise", "test_designers"],
    "designers/*.py": ["test_designers", "test_hadamard_orders", "test_designer_laws"],
    "learning/resolve.py": ["test_resolve", "test_constraints"],
    "learning/checkpoint.py": ["test_checkpoint"],
    "learning/schedule.py": ["test_schedule", "test_training_steps"],
    "learning/pace.py": ["test_pace", "test_training_steps"],
    "learning/*.py": ["test_training_steps", "test_unsupervised"],
}
"""The tests nearest to a module; of a module that several entries name, the first counts."""

OPERATORS = [
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Pow_Mul", "BitAnd_BitOr", "BitOr_BitAnd", "Mod_Mul")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_Gt", "Gt_Lt")),
    *("ReplaceUnaryOperator_USub_UAdd", "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_Invert"),
    *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "NumberReplacer", "ZeroIterationForLoop"),
]
LIBRARIES = ["torch", "numpy", "scipy.ndimage", "scipy.linalg", "h5py", "msgspec", "tomli_w", "tifffile"]


@dataclass(frozen=True)
class Mutant:
    """``change``: the lines before and after, on one line."""

    module: str
    line: int
    change: str
    code: str


def mutants_of(module: str, code: str, order: random.Random | None = None) -> tuple[int, Iterator[Mutant]]:
    """(how many places can be broken, mutants whose program differs, each once); drawn in the order of ``order``."""
    tree = get_ast(code)
    places: list[tuple[str, int]] = [
        (name, occurrence)
        for name in OPERATORS
        for occurrence in range(
            sum(1 for node in ast_nodes(tree) for _ in get_operator(f"core/{name}")().mutation_positions(node))
        )
    ]
    lacking = list(_without_statements(code))
    places += [("", index) for index in range(len(lacking))]
    if order is not None:
        order.shuffle(places)
    return len(places), _mutants(module, code, places, lacking)


def _mutants(module: str, code: str, places: list[tuple[str, int]], lacking: list[str]) -> Iterator[Mutant]:
    seen = {_meaning(code), None}
    for name, occurrence in places:
        mutated = mutate_code(code, get_operator(f"core/{name}")(), occurrence) if name else lacking[occurrence]
        if (meaning := _meaning(mutated)) not in seen:
            seen.add(meaning)
            yield Mutant(module, *_difference(code, mutated), mutated)


def _without_statements(code: str) -> Iterator[str]:
    """Calls whose result isn't kept, raised errors, and assignments to what exists already, each replaced by pass."""
    lines = code.splitlines(keepends=True)
    for node in ast.walk(ast.parse(code)):
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        is_change = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript)
        if is_call or is_change or isinstance(node, ast.AugAssign | ast.Raise):
            assert isinstance(node, ast.stmt)
            indent = lines[node.lineno - 1][: node.col_offset]
            yield "".join([*lines[: node.lineno - 1], f"{indent}pass\n", *lines[node.end_lineno or node.lineno :]])


def _meaning(code: str) -> str | None:
    """The syntax tree without what nothing evaluates, annotations above all; None if it is no Python."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.arguments):  # a star in a signature is no multiplication
            node.posonlyargs, node.args, node.kwonlyargs = [], [*node.posonlyargs, *node.args, *node.kwonlyargs], []
    return ast.dump(tree)


def _difference(before: str, after: str) -> tuple[int, str]:
    """(line, what changed there)."""
    old, new = before.splitlines(), after.splitlines()
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            cut, put = (" ".join(line.strip() for line in part) for part in (old[i:j], new[k:m]))
            return i + 1, f"{cut} → {put}"
    raise AssertionError("nothing changed")


def run_tests(tree: Path, tests: list[str], timeout_s: float, *, keep_bytecode: bool = False) -> str:
    """``passed``, ``failed`` or ``timeout`` of the tests, run in a child up to the first failure."""
    child = os.fork()
    if child == 0:
        try:
            _test(tree, tests, keep_bytecode)
        except BaseException:
            traceback.print_exc()
        os._exit(99)  # never back into the parent's code
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "passed" if status == 0 else "failed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def _test(tree: Path, tests: list[str], keep_bytecode: bool) -> None:
    os.setsid()
    said = os.open(tree.with_name("said.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = not keep_bytecode
    status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])
    sys.stdout.flush()
    os._exit(int(status))


def modules_of(names: list[str], tree: Path) -> dict[str, list[str]]:
    """{module: its nearest tests}, of the named modules or all."""
    found: dict[str, list[str]] = {}
    for pattern, tests in NEAREST.items():
        for path in sorted((tree / "acqplan").glob(pattern)):
            module = path.relative_to(tree / "acqplan").as_posix()
            if path.name != "__init__.py" and (not names or module in names):
                found.setdefault(module, [str(next((tree / "tests").rglob(f"{test}.py"))) for test in tests])
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("modules", nargs="*", help="for example sensing/budget.py; all of the core unless given")
    arguments.add_argument("--sample", type=int, help="mutants of each module, drawn at random; all unless given")
    arguments.add_argument(
        "--minutes", type=float, default=math.inf, help="in all; every module gets a share of the rest"
    )
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--json", type=Path, help="where to write every mutant with what became of it")
    given = arguments.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # a child of a process with threads may hang
    for library in LIBRARIES:
        importlib.import_module(library)
    told: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        for name in ("acqplan", "tests", "docs", "patterns", "benchmarks"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in [*ROOT.glob("*.md"), ROOT / "pyproject.toml"]:
            shutil.copy(path, tree)
        modules = modules_of(given.modules, tree)
        end = time.monotonic() + 60 * given.minutes
        for index, (module, tests) in enumerate(modules.items()):
            share_s = (end - time.monotonic()) / (len(modules) - index)
            told += test_module(tree, module, tests, given.sample, given.seed, share_s)
            if given.json:
                given.json.write_text(json.dumps(told, indent=1, ensure_ascii=False))
    lived = [each for each in told if each["outcome"] == "passed"]
    print(f"{len(told)} mutants, {len(told) - len(lived)} noticed, {len(lived)} not:")
    for each in lived:
        print(f"  {each['module']}:{each['line']}: {each['change']}")


def test_module(
    tree: Path, module: str, tests: list[str], sample: int | None, seed: int, share_s: float
) -> list[dict[str, object]]:
    """What became of each mutant; one at least is tested, however short the share of the time."""
    path = tree / "acqplan" / module
    code = path.read_text(encoding="utf-8")
    taken_s = _time_unbroken(tree, tuple(tests))
    start = time.monotonic()
    n_places, mutants = mutants_of(
        module, code, random.Random(f"{seed}:{module}") if _is_part(sample, share_s) else None
    )
    told: list[dict[str, object]] = []
    for mutant in itertools.islice(mutants, sample):
        path.write_text(mutant.code, encoding="utf-8")
        for stale in path.parent.glob(f"__pycache__/{path.stem}.*"):
            stale.unlink()
        outcome = run_tests(tree, tests, 30 + 3 * taken_s)
        told.append({key: value for key, value in asdict(mutant).items() if key != "code"} | {"outcome": outcome})
        if outcome == "passed":
            print(f"  {module}:{mutant.line}: {mutant.change}", flush=True)
        if time.monotonic() - start > share_s:
            break
    path.write_text(code, encoding="utf-8")
    noticed = sum(each["outcome"] != "passed" for each in told)
    print(f"{module}: {noticed} of {len(told)} noticed ({n_places} places in all)", flush=True)
    return told


def _is_part(sample: int | None, share_s: float) -> bool:
    return sample is not None or share_s < math.inf


@functools.cache
def _time_unbroken(tree: Path, tests: tuple[str, ...]) -> float:
    start = time.monotonic()
    if run_tests(tree, list(tests), 900, keep_bytecode=True) != "passed":
        said = tree.with_name("said.txt").read_text(encoding="utf-8")
        raise SystemExit(f"{said}\n{' '.join(tests)}: these tests fail without any mutant.")
    return time.monotonic() - start


if __name__ == "__main__":
    main()
