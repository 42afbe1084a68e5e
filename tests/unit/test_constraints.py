"""What a pattern may and must measure: each constraint against its definition, and what a user is told."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from acqplan.core.errors import AcqplanError, BudgetError, RecipeError
from acqplan.core.seeding import numpy_generator
from acqplan.designers.designer import DesignProblem
from acqplan.designers.fixed import Uniform
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.constraints import conjugate_units, has_conjugates, left_out, without_conjugates
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.modalities.mri.settings import MRISettings
from acqplan.plan.components import Component
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings
from acqplan.plan.recipe_text import from_dict, from_toml, to_toml
from acqplan.sensing.budget import Budget, parse_budget
from acqplan.sensing.constraints import Constraints, constraints_of
from acqplan.sensing.unit_list import parse_units, units_text

LINES, POINTS, HADAMARD = CartesianMRI((16, 4), "lines"), CartesianMRI((16, 12), "points"), HadamardDMD((8, 16))


def constraints(sensing: CartesianMRI | HadamardDMD = LINES, **settings: object) -> Constraints:
    lists = {name: settings.pop(name, None) for name in ("forbidden", "required")}
    own = MRISettings(**settings)  # type: ignore[arg-type]
    return constraints_of(lists["forbidden"], lists["required"], left_out(own, sensing), sensing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n", "share", "side", "first", "last"),
    [
        (16, 0.75, "low", 4, 15),
        (16, 0.75, None, 4, 15),
        (16, 0.75, "high", 0, 11),
        (15, 0.51, "low", 7, 14),
        (15, 0.51, "high", 0, 7),
        (4, 0.51, "low", 1, 3),
        (5, 0.51, "high", 0, 2),
        (256, 0.875, "low", 32, 255),
    ],
)
def test_partial_fourier_leaves_out_one_end_of_ky(n: int, share: float, side: str, first: int, last: int) -> None:
    sensing = CartesianMRI((n, 3), "lines")
    allowed = np.flatnonzero(constraints(sensing, partial_fourier=share, partial_fourier_side=side).allowed)
    assert (allowed[0], allowed[-1], allowed.size) == (first, last, last - first + 1)
    assert first <= n // 2 <= last  # the centre is in


def test_partial_fourier_of_points_is_along_ky() -> None:
    allowed = constraints(POINTS, partial_fourier=0.75).allowed.reshape(16, 12)
    assert not allowed[:4].any()
    assert allowed[4:].all()


def test_the_shutter_is_an_ellipse() -> None:
    allowed = constraints(POINTS, shutter="elliptical").allowed.reshape(16, 12)
    for y in range(16):
        for z in range(12):
            assert allowed[y, z] == (((y - 8) / 8) ** 2 + ((z - 6) / 6) ** 2 <= 1 + 1e-9)
    whole = CartesianMRI((128, 128), "points")
    assert constraints(whole, shutter="elliptical").allowed.mean() == pytest.approx(np.pi / 4, rel=0.01)


@pytest.mark.parametrize("shape", [(8, 3), (9, 3)])
def test_conjugates_are_those_of_a_real_image(shape: tuple[int, int]) -> None:
    """The spectrum of a real image has equal magnitudes at k and −k, and there alone."""
    for encoding in ("lines", "points"):
        sensing = CartesianMRI((shape[0], 6), encoding)
        grid = sensing.grid_shape
        image = numpy_generator(0, "real").random(grid)
        axes = tuple(range(len(grid)))
        spectrum = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(image), axes=axes)).ravel()
        partner = conjugate_units(sensing)
        assert np.allclose(spectrum[partner], spectrum.conj())
        assert np.array_equal(partner[partner], np.arange(partner.size))
        differs = partner != np.arange(partner.size)
        assert np.abs(spectrum.imag)[~differs].max() < 1e-9  # its own partner: real


def test_one_of_each_pair_is_allowed() -> None:
    for sensing in (LINES, POINTS):
        fixed = sensing.calibration_units(4)
        found = without_conjugates(constraints(sensing), fixed, sensing, seed=3)
        units = np.flatnonzero(found.allowed)
        assert not has_conjugates(units, fixed, sensing)
        own = (conjugate_units(sensing) == np.arange(sensing.n_units)).sum()
        inside = np.isin(conjugate_units(sensing)[fixed], fixed)
        n_inside = (inside & (conjugate_units(sensing)[fixed] != fixed)).sum()
        # Half of the pairs, and the other half of those within the calibration region.
        assert units.size == own + (sensing.n_units - own) // 2 + n_inside // 2
        other = without_conjugates(constraints(sensing), fixed, sensing, seed=4)
        assert not np.array_equal(other.allowed, found.allowed)


def test_a_pair_that_is_half_forbidden_keeps_its_other_half() -> None:
    found = without_conjugates(constraints(LINES, forbidden="9-15"), np.array([8]), LINES, seed=0)
    assert np.flatnonzero(found.allowed).tolist() == list(range(9))


def test_a_pair_of_required_units_stays() -> None:
    required = constraints(LINES, required="5,11").required
    found = without_conjugates(constraints(LINES), required, LINES, seed=0)
    assert found.allowed[[5, 11]].all()
    alone = without_conjugates(constraints(LINES), np.array([5]), LINES, seed=0)
    assert alone.allowed[5]
    assert not alone.allowed[11]


# --- lists of units -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "units"),
    [("", []), ("3", [3]), ("0-2, 5", [0, 1, 2, 5]), ("5 5\n1", [1, 5]), ("*", list(range(16))), ("15", [15])],
)
def test_lists_of_lines(text: str, units: list[int]) -> None:
    assert parse_units(text, LINES, "required").tolist() == units


def test_positions_of_points() -> None:
    assert parse_units("3:5", POINTS, "required").tolist() == [3 * 12 + 5]
    assert parse_units("1:*", POINTS, "required").tolist() == list(range(12, 24))
    assert parse_units("0-1:2-3,13", POINTS, "required").tolist() == [2, 3, 13, 14, 15]


def test_files_of_units(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# spike on channel 3\n3:5  # here\n1:*\n")
    expected = [*range(12, 24), 41]
    mask = np.zeros((16, 12), dtype=bool)
    mask.flat[expected] = True
    np.save(tmp_path / "mask.npy", mask)
    np.save(tmp_path / "units.npy", np.array(expected[::-1]))
    np.save(tmp_path / "positions.npy", np.argwhere(mask))
    for name in ("list.txt", "mask.npy", "units.npy", "positions.npy"):
        assert parse_units(str(tmp_path / name), POINTS, "required").tolist() == expected


def test_lists_are_written_as_ranges() -> None:
    random = numpy_generator(0, "lists")
    for _ in range(100):
        units = np.flatnonzero(random.random(192) < random.random())
        assert parse_units(units_text(units), POINTS, "required").tolist() == units.tolist()
    assert units_text(np.array([0, 1, 2, 60])) == "0-2,60"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("16", "lie outside 0 to 15"),
        ("5-3", "lie outside"),
        ("99999999999999999999", "lie outside"),
        ("3:5", "has 2 axes, the catalogue is 16"),
        ("no-such-file", "no list, and no file"),
        ("-3", "no list, and no file"),
        ("1.5", "no list, and no file"),
        ("x\0y", "no list, and no file"),
    ],
)
def test_lists_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_units(text, LINES, "forbidden")


def test_files_that_hold_no_units(tmp_path: Path) -> None:
    np.save(tmp_path / "floats.npy", np.ones(3))
    np.save(tmp_path / "far.npy", np.array([16]))
    np.save(tmp_path / "negative.npy", np.array([-1]))
    np.save(tmp_path / "shape.npy", np.ones((16, 12), dtype=bool))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "far.npy").read_bytes()[:40])
    (tmp_path / "text.txt").write_text("one, two")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(RecipeError):
            parse_units(str(path), LINES, "forbidden")


# --- budgets ------------------------------------------------------------------------------------


def parse(text: str, *, n_allowed: int | None = None, echo_train: int = 1, tr: float | None = None) -> Budget:
    return parse_budget(
        text, n_units=256, unit_name="line", readings_per_shot=echo_train, n_allowed=n_allowed, frame_time_s=tr
    )


@pytest.mark.parametrize(
    ("text", "echo_train", "n_readings", "n_shots"),
    [("4x", 8, 64, 8), ("4x", 7, 63, 9), ("25%", 60, 60, 1), ("63", 7, 63, 9), ("64 lines", 64, 64, 1)],
)
def test_counts_are_multiples_of_the_train(text: str, echo_train: int, n_readings: int, n_shots: int) -> None:
    budget = parse(text, echo_train=echo_train)
    assert (budget.n_readings, budget.n_shots) == (n_readings, n_shots)
    assert Budget(**budget.spec()) == budget  # type: ignore[arg-type]


def test_a_shot_takes_one_repetition_time() -> None:
    budget = parse("4x", echo_train=8, tr=2.5)
    assert budget.acquisition_time_s == pytest.approx(8 * 2.5)
    timed = parse("21s", echo_train=8, tr=2.5)
    assert (timed.n_readings, timed.n_shots) == (64, 8)
    assert timed.acquisition_time_s == pytest.approx(20)
    assert parse("10min", echo_train=7, tr=1.0, n_allowed=200).n_readings == 196


@pytest.mark.parametrize(
    ("text", "echo_train", "said"),
    [
        ("64", 7, "64 lines is no multiple of the echo train of 7. Give 63 or 70"),
        ("64 lines", 128, "no multiple of the echo train of 128. Give 128"),
        ("4x", 100, "64 lines, less than one echo train of 100"),
        ("2s", 8, "shorter than one shot of 2.5 s"),
    ],
)
def test_budgets_that_no_trains_make(text: str, echo_train: int, said: str) -> None:
    with pytest.raises(BudgetError, match=said):
        parse(text, echo_train=echo_train, tr=2.5)


def test_a_budget_beyond_what_is_allowed_is_refused() -> None:
    assert parse("192", n_allowed=192).n_readings == 192
    for text in ("193", "1x", "80%"):
        with pytest.raises(BudgetError, match=r"more than the 192 that may be measured[.] Give at most 192"):
            parse(text, n_allowed=192)
    assert parse("10min", n_allowed=192, tr=0.01).n_readings == 192


def test_a_design_problem_checks_its_budget() -> None:
    allowed = np.zeros(16, dtype=bool)
    allowed[:6] = True
    energy, none = np.ones(16), np.zeros(0, dtype=np.int32)
    DesignProblem(LINES, Budget(6, 16), none, energy, 0, None, allowed)
    with pytest.raises(BudgetError, match="7 readings are left for 6 units"):
        Uniform(DesignProblem(LINES, Budget(7, 16), none, energy, 0, None, allowed))
    with pytest.raises(BudgetError, match="required units are 3 lines, the budget is 2"):
        DesignProblem(LINES, Budget(2, 16), none, energy, 0, None, allowed, np.array([1, 2, 3], dtype=np.int32))


# --- recipes ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("images") / "scans"
    folder.mkdir()
    for i in range(3):
        np.save(folder / f"subject{i}.npy", numpy_generator(i, "image").random((1, 32, 32), dtype=np.float32))
    return Recipe(
        "mri",
        images=ImageSettings([str(folder)], [32, 32]),
        budget=BudgetSettings("4x"),
        sensing=Component("cartesian_mri", {"encoding": "points"}),
        designer=Component("uniform"),
        reconstructor=Component("zero-filled"),
        training=TrainingSettings(steps=1, threads=1),
    )


def lines(recipe: Recipe) -> Recipe:
    return replace(recipe, sensing=Component("cartesian_mri", {"encoding": "lines"}))


def test_every_setting_is_written(recipe: Recipe) -> None:
    usual = {
        "order": "linear",
        "echo_train": 1,
        "partial_fourier": 1.0,
        "partial_fourier_side": "low",
        "shutter": "none",
        "one_of_conjugates": False,
        "forbidden": "",
        "required": "",
    }
    assert tomllib.loads(to_toml(resolve(recipe).recipe))["pattern"] == {**usual, "scan": "3d"}
    assert tomllib.loads(to_toml(resolve(lines(recipe)).recipe))["pattern"] == {**usual, "scan": "2d"}


def test_everything_at_once(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "spikes.txt").write_text("20:*\n")
    wanted = recipe.with_settings(
        "pattern",
        partial_fourier=0.75,
        shutter="elliptical",
        echo_train=8,
        one_of_conjugates=True,
        forbidden=str(tmp_path / "spikes.txt"),
        required="16:0-31",
        order="centre-out",
    ).with_settings("pattern", required="16:4-9")
    plan = design(wanted.with_settings("budget", amount="6x", frame_time_s=0.5))
    order, (ky, kz) = plan.pattern.order, np.divmod(plan.pattern.order, 32)
    assert order.size == np.unique(order).size == 168  # 170 is no multiple of 8
    assert plan.budget.n_shots == 21
    assert plan.budget.acquisition_time_s == pytest.approx(10.5)
    assert ky.min() >= 8
    assert 20 not in ky
    assert (((ky - 16) / 16) ** 2 + ((kz - 16) / 16) ** 2 <= 1 + 1e-9).all()
    assert set(range(16 * 32 + 4, 16 * 32 + 10)) <= set(order)
    fixed = np.union1d(plan.pattern.calibration, np.arange(16 * 32 + 4, 16 * 32 + 10))
    assert not has_conjugates(order, fixed, plan.sensing)
    assert plan.evidence["notes"] == ["The budget 6x is 170 points, rounded down to 168: 21 whole trains of 8 echoes."]
    # The plan's own recipe needs no file, and gives the same pattern.
    (tmp_path / "spikes.txt").unlink()
    assert plan.recipe.pattern.forbidden == "640-671"
    assert design(from_toml(to_toml(plan.recipe))).pattern == plan.pattern


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"partial_fourier": 0.5}, "partial_fourier is 0.5, expected a number above 0.5"),
        ({"partial_fourier": 1.1}, "partial_fourier is 1.1, expected a number above 0.5 and of at most 1"),
        ({"partial_fourier_side": "left"}, "partial_fourier_side is 'left'"),
        ({"shutter": "round"}, "shutter is 'round'"),
        ({"echo_train": 0}, "echo_train is 0, expected a whole number of at least 1"),
        ({"scan": "4d"}, "scan is '4d', expected 2d or 3d"),
        ({"required": "0", "partial_fourier": 0.75}, r"required units has 1 of its 1 units.*partial Fourier 0.75"),
        ({"required": "0:0", "shutter": "elliptical"}, "elliptical shutter"),
        ({"forbidden": "15:*"}, "calibration region of width 4 has 4 of its 16 units.*forbidden units"),
        ({"forbidden": "0-1023"}, "more than the 0 that may be measured|calibration"),
        ({"required": "10-12:*"}, "required units are 112 points, the budget is 64"),
    ],
)
def test_constraints_that_cannot_be(recipe: Recipe, settings: dict[str, object], said: str) -> None:
    asked = recipe.with_settings("budget", amount="16x", calibration=4).with_settings("pattern", **settings)
    with pytest.raises(AcqplanError, match=said):
        resolve(asked)


def test_calibration_is_chosen_where_it_may_be_measured(recipe: Recipe) -> None:
    asked = lines(recipe).with_settings("budget", amount="2x").with_settings("pattern", forbidden="15")
    assert resolve(asked).recipe.budget.calibration == 0
    assert resolve(lines(recipe).with_settings("budget", amount="2x")).recipe.budget.calibration == 2


def test_a_slice_has_no_points(recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match=r"points is asked of a 2D scan.*whole lines.*--pattern lines"):
        resolve(recipe.with_settings("pattern", scan="2d"))
    with pytest.raises(RecipeError, match=r"lines is asked of a 3D scan.*--pattern points"):
        resolve(lines(recipe).with_settings("pattern", scan="3d"))


def test_raw_data_of_slices_have_no_points(recipe: Recipe, tmp_path: Path) -> None:
    random = numpy_generator(0, "kspace")
    for i in range(3):
        kspace = random.random((1, 32, 32)) + 1j * random.random((1, 32, 32))
        with h5py.File(tmp_path / f"slices{i}.h5", "w") as file:
            file["kspace"] = kspace.astype(np.complex64)
    asked = recipe.with_settings("images", paths=[str(tmp_path)])
    with pytest.raises(
        RecipeError, match=r"slices0.h5 and 2 more was acquired in 2D slices. A 2D scan.*--pattern lines"
    ):
        resolve(asked)
    assert resolve(lines(asked)).notes == ()
    stated = resolve(asked.with_settings("pattern", scan="3d"))
    assert "has to be a 3D one" in stated.notes[0]
    assert resolve(recipe).notes == ()  # images that don't say


@pytest.mark.parametrize("settings", [{"shutter": "none"}, {"echo_train": 2}, {"partial_fourier": 1.0}, {"scan": "3d"}])
def test_a_dmd_has_none_of_it(recipe: Recipe, settings: dict[str, object]) -> None:
    dmd = replace(recipe, modality="dmd", sensing=None)
    with pytest.raises(RecipeError, match=f"{next(iter(settings))} is given, which is for MRI"):
        dmd.with_settings("pattern", **settings)
    table = {"modality": "dmd", "pattern": settings}
    with pytest.raises(RecipeError, match=f"{next(iter(settings))} is given, which is for MRI"):
        from_dict(table)


def test_a_dmd_may_forbid_and_require(recipe: Recipe) -> None:
    dmd = replace(recipe, modality="dmd", sensing=None).with_settings("pattern", forbidden="8-15:*", required="31:31")
    problem = resolve(dmd).design
    assert problem.allowed is not None
    assert problem.allowed.sum() == 1024 - 256
    assert problem.required.tolist() == [1023]


def test_a_pattern_from_a_plan_obeys(recipe: Recipe, tmp_path: Path) -> None:
    first = design(recipe.with_settings("pattern", one_of_conjugates=True))
    first.save(tmp_path / "first.acqplan")
    given = Component("from-plan", {"plan": str(tmp_path / "first.acqplan")})
    again = replace(first.recipe, designer=given, seed=9).with_settings("pattern", order=None)
    assert design(again).pattern == first.pattern
    with pytest.raises(RecipeError, match=r"doesn't allow"):
        resolve(again.with_settings("pattern", forbidden=str(int(first.pattern.order[0]))))
    design(recipe).save(tmp_path / "both.acqplan")
    other = replace(again, designer=Component("from-plan", {"plan": str(tmp_path / "both.acqplan")}))
    with pytest.raises(RecipeError, match="measures both k and -k"):
        resolve(other)
