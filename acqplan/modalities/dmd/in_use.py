"""A DMD's flags of the commands that use a plan, their examples, the demonstration, and the words of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from acqplan.plan.components import Component
from acqplan.plan.in_use import Setup, UseFlag, Words
from acqplan.plan.settings import Flag

if TYPE_CHECKING:
    from acqplan.plan.plan import Plan

NO_TRACE = (
    "--detector and --option are of the virtual microscope, which writes a DMD's detector trace.",
    "Leave them out, or pass a DMD plan, one image, and no other format.",
)
"""Problem and remedy where the virtual microscope is asked for what it doesn't do."""
_READ_DETECTOR = UseFlag(
    "options.detector",
    str,
    Flag("--detector", "", "DMD: detector file of acqplan calibrate; the values are its ADC's.", "FILE"),
)

FLAGS = {
    "export": (
        UseFlag(
            "options.device",
            str,
            Flag("--device", "", "The DMD: its mirrors, like 1920x1080, or a known device.", "WxH|NAME"),
        ),
        UseFlag("options.scale", int, Flag("--scale", "", "Mirrors per pixel of the pattern (DMD).", "N")),
    ),
    "simulate": (
        UseFlag(
            "noise.photons",
            float,
            Flag("--photons", "", "DMD: photo-electrons of a full-scale pixel in one frame.", "E"),
        ),
        UseFlag(
            "noise.read_noise_e",
            float,
            Flag("--read-noise", "", "DMD: read noise per frame in photo-electrons.", "E"),
        ),
        UseFlag("noise.dark_e", float, Flag("--dark", "", "DMD: dark counts per frame in photo-electrons.", "E")),
        UseFlag(
            "settings.detector",
            str,
            Flag("--detector", "", "DMD: write what this detector (acqplan calibrate) reads, in ADU.", "FILE"),
            refusal=NO_TRACE,
        ),
        UseFlag(
            "settings",
            list,
            Flag(
                "--option",
                "",
                "DMD: a fault or setting of the virtual microscope, like lamp_drift=-0.1; may be repeated.",
                "NAME=VALUE",
            ),
            refusal=NO_TRACE,
        ),
    ),
    "verify": (_READ_DETECTOR,),
    "reconstruct": (_READ_DETECTOR,),
    "explore": (_READ_DETECTOR,),
}

EXAMPLES = {
    "export": (
        "acqplan export cells.acqplan --to dmd-tiff --device 1920x1080 -o cells-dmd/",
        "acqplan export cells.acqplan --to dmd-tiff --device 1024x768 --scale 8 --option max_frames=2048 -o cells-dmd/",
    ),
    "simulate": (
        "acqplan simulate cells.acqplan cells.tif --tile 2,3 --photons 50 -o trace.csv --truth truth.npy",
        "acqplan simulate cells.acqplan sample:cells --detector pmt.json --option lamp_drift=-0.1 -o daq.h5",
    ),
    "verify": (
        "acqplan verify cells.acqplan trace.csv --assume-plan",
        "acqplan verify cells.acqplan daq.mat --detector pmt.json --option signal=ai0 --option trigger=ai1 "
        "--option sample_rate_hz=1e6 --assume-plan",
    ),
    "reconstruct": (
        "acqplan reconstruct cells.acqplan trace.csv --assume-plan -o cells.tif",
        "acqplan reconstruct cells.acqplan daq.csv --detector pmt.json --option reference_frames=::65 -o cells.ome.tif",
    ),
}

SETUP = Setup(
    title="DMD microscope: Hadamard frames for a single-pixel detector",
    sample="sample:cells",
    size=(64, 64),
    budget="12.5%",
    noise=Component("poisson_gaussian", {"photons": 200.0}),
    trained=("low-sequency", "half-half", "variance-ordered", "variable-density"),
    untrained=(("uniform", "zero-filled"),),
    floors=("low-sequency",),
    format=Component("dmd-tiff", {"device": "1920x1080"}),
    acquired="trace.csv",
    reconstructed="recon.tif",
    share=0.45,
)

WORDS = Words(
    image_unit="photo-electrons per pixel and frame",
    calibration="of the lowest sequencies",
    pattern="sequencies, zero top left.",
    axes={"": "Sequencies, of the rows down and of the columns to the right, zero top left."},
    order_axes={2: "sequencies"},
    option="scheme",
)


class LightCost(TypedDict):
    """As `acqplan.modalities.dmd.light.light_cost` gives it."""

    frames: float
    light_frames: float
    light_on_s: float | None
    scan_s: float | None
    photo_electrons: NotRequired[float | None]
    power_w: NotRequired[float | None]
    energy_j: NotRequired[float | None]


class SchemeAdvice(TypedDict):
    """Which display scheme suits, and why."""

    scheme: str
    why: str


class RasterScan(TypedDict):
    """As `acqplan.modalities.dmd.raster.Raster` gives it."""

    block: int
    frames: float
    total_frames: float
    psnr_db: float
    ssim: float


class Rasters(TypedDict):
    """A raster scan in the time of the plan, and one with its light on the sample."""

    same_time: RasterScan
    same_light: RasterScan


def raster_words(scans: Rasters, plan_db: float, frames: float) -> str:
    """What a raster scan would give, beside the plan's mean PSNR on the same held-out images."""
    same_time, same_light = scans["same_time"], scans["same_light"]
    times = same_light["total_frames"] / frames
    return (
        f"in the same time {_raster(same_time)}; with the same light on the sample, in {times:.3g} times the time or "
        f"with a brighter lamp, {_raster(same_light)}; this plan {plan_db:.2f} dB"
    )


def _raster(scan: RasterScan) -> str:
    return f"{scan['psnr_db']:.2f} dB ({scan['block']} × {scan['block']} pixels at a time)"


def light_facts(plan: Plan, cost: dict[str, Any]) -> list[tuple[str, str]]:
    """What a scan costs the sample in light (`light_cost`), and which display scheme suits."""
    listed = [
        (
            "Light on, DMD before the sample",
            f"{_seconds(cost['light_on_s'])}each pixel is on in {cost['light_frames']:g} of {cost['frames']} frames",
        ),
        ("Light on, DMD behind the sample", f"{_seconds(cost['scan_s'])}all {cost['frames']} frames"),
    ]
    if cost.get("photo_electrons") is not None:
        listed.append(("Photo-electrons", f"{cost['photo_electrons']:.4g} of a typical image over the scan"))
    if cost.get("energy_j") is not None:
        listed.append(("Dose", f"{cost['energy_j']:.4g} J on the sample, at {cost['power_w']:g} W with all mirrors on"))
    if "scheme" in plan.evidence:
        listed.append(("Display scheme", plan.evidence["scheme"]["why"]))
    if "raster" in plan.evidence:
        listed.append(("A raster scan", _raster_words(plan)))
    return listed


def light_remarks(plan: Plan) -> list[str]:
    """Which display scheme suits, and what a raster scan would give."""
    found = [plan.evidence["scheme"]["why"]] if "scheme" in plan.evidence else []
    return found + ([f"A raster scan: {_raster_words(plan)}."] if "raster" in plan.evidence else [])


def _raster_words(plan: Plan) -> str:
    evidence = plan.evidence
    plan_db = evidence["held_out"]["mean"]["plan"]["psnr_db"]
    return raster_words(evidence["raster"], plan_db, evidence["exposure"]["frames"])


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.4g} s: "
