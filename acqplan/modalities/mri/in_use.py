"""MRI's flags of the commands that use a plan, their examples, the demonstration, and the words of a report."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from acqplan.plan.components import Component
from acqplan.plan.in_use import Setup, UseFlag, Words
from acqplan.plan.settings import Flag

FLAGS = {
    "simulate": (
        UseFlag("noise.std", float, Flag("--noise", "", "MRI: noise (default: the plan's); 0 for none.", "STD")),
        UseFlag(
            "settings.coils",
            int,
            Flag("--coils", "", "MRI: simulated receive coils (default: as many as the plan was made for).", "N"),
            least=1,
            most=64,
            refusal=("{value} coils were given for a {sensing} plan.", "Leave --coils out."),
        ),
    ),
    "reconstruct": (
        UseFlag(
            "settings.virtual_coils",
            str,
            Flag(
                "--virtual-coils",
                "",
                "MRI: compress several coils to so many virtual ones, or to those that hold a share like 99%.",
                "N|SHARE",
            ),
        ),
    ),
    "explore": (
        UseFlag(
            "noise.std",
            float,
            Flag("--noise", "", "MRI: noise that the misfit is measured against (default: the plan's).", "STD"),
        ),
    ),
}

EXAMPLES = {
    "": (
        "acqplan design mri --images sample:brain --budget 4x --size 128x128 --minutes 3 -o brain.acqplan",
        "acqplan export brain.acqplan --to bart -o brain-bart/",
        "acqplan simulate brain.acqplan volume.nii.gz --slice 90 -o acquired.h5",
        "acqplan reconstruct brain.acqplan acquired.h5 -o recon.nii.gz",
    ),
    "demo": ("acqplan demo --only mri --minutes 2 -o demo-mri",),
    "export": (
        "acqplan export brain.acqplan --to bart -o brain-bart/",
        "acqplan export brain.acqplan --to pulseq --option scanner=generic-1.5T --option fov_mm=220 -o brain-pulseq/",
    ),
    "simulate": (
        "acqplan simulate brain.acqplan volume.nii.gz --slice 90 --noise 0.01 -o acquired.h5",
        "acqplan simulate brain.acqplan sample:brain --exported brain-bart/ --as bart -o acquired.cfl",
        "acqplan simulate brain.acqplan volume.nii.gz --slices all -o scan.h5",
    ),
    "verify": ("acqplan verify brain.acqplan acquired.h5", "acqplan verify brain.acqplan acquired.h5 --json"),
    "reconstruct": (
        "acqplan reconstruct brain.acqplan acquired.h5 -o recon.nii.gz",
        "acqplan reconstruct brain.acqplan scan.h5 --as dicom -o slices/",
        "acqplan reconstruct brain.acqplan full.h5 --use-planned -o recon.h5",
    ),
}

SETUP = Setup(
    title="MRI: points of a 3D scan's ky–kz plane",
    sample="sample:brain",
    size=(128, 128),
    budget="4x",
    noise=Component("complex_gaussian", {"std": 0.005}),
    sensing=Component("cartesian_mri", {"encoding": "points"}),
    trained=("poisson-disc", "variable-density"),
    untrained=(("variable-density", "wavelet"), ("low-pass", "zero-filled")),
    floors=("low-pass",),
    format=Component("bart"),
    acquired="acquired.cfl",
    reconstructed="recon.nii.gz",
    share=0.55,
)

WORDS = Words(
    image_unit="relative",
    calibration="in the centre",
    pattern="k-space, frequency zero in the middle.",
    axes={
        "points": "k-space, ky down and kz to the right, frequency zero in the middle.",
        "lines": "k-space, ky down, readout to the right, frequency zero in the middle.",
    },
    order_axes={1: "ky", 2: "ky:kz"},
    option="encoding",
)


class CoilsUsed(TypedDict):
    """How many coils a plan was trained for (of a range: at most and at least), and where their maps came from."""

    n: int
    maps: str
    fewest: NotRequired[int]
