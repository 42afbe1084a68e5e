"""``acqplan calibrate``: a detector from a dark and a bright recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acqplan.cli import arguments, console
from acqplan.cli.arguments import examples
from acqplan.cli.plans import Overwrite
from acqplan.core.errors import RecipeError
from acqplan.plan import typed

EXAMPLES = examples(
    "acqplan calibrate dark.npy bright.npy --adc-bits 16 -o pmt.json",
    "acqplan calibrate dark.csv bright.csv --levels 0.25,0.5,0.75,1 --offset 100 --exposure 50us -o pmt.json",
    "acqplan calibrate dark.mat bright.mat --option signal=ai0 --option trigger=ai1 --option sample_rate_hz=1e6 "
    "--option settling_us=8 -o pmt.json",
)


def calibrate(
    dark: Annotated[Path, typer.Argument(metavar="DARK", help="Recording without light, one value per frame.")],
    bright: Annotated[
        Path, typer.Argument(metavar="BRIGHT", help="Recording with light, of several levels one after the other.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.json", help="The detector file to write.")],
    offset: Annotated[
        float | None,
        typer.Option(metavar="ADU", help="Value without light and dark current (default: the dark recording's mean)."),
    ] = None,
    exposure: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time of a frame, like 50us; needed with --offset.")
    ] = None,
    adc_bits: Annotated[int | None, typer.Option(metavar="N", help="Bits of the converter.")] = None,
    saturation: Annotated[
        float | None, typer.Option(metavar="ADU", help="From here on the detector doesn't follow the light.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(metavar="N", help="Values of each light level (default: found by itself).")
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(metavar="L,L,...", help="Light of each level in any unit: the means have to be linear in it."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="How to read both files; as for reconstruct."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit a detector's gain, offset and noise to a dark and a bright recording, and check that it is linear."""
    import acqplan

    fitted = acqplan.calibrate(
        dark,
        bright,
        output,
        options=arguments.options(option),
        offset_adu=offset,
        exposure_s=None if exposure is None else typed.seconds(exposure, "--exposure"),
        adc_bits=adc_bits,
        saturation_adu=saturation,
        repeats=repeats,
        levels=_numbers(levels),
        overwrite=overwrite,
    )
    console.facts(fitted.numbers)
    for note in fitted.notes:
        console.note(note)
    console.warn(fitted.warnings)
    console.note(f"Written: {output}")


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise RecipeError(f"The light levels are {text!r}.", "Write them like 0.25,0.5,1.") from error
