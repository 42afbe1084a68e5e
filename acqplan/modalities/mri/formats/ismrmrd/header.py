"""The XML header of an ISMRMRD file, as far as Cartesian scans need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from acqplan.core.errors import AcquisitionError
from acqplan.core.optional import optional_import

EMBEDDED = ("embedded", "interleaved")
"""Calibration modes whose reference lines belong to the k-space of the image."""
UNKNOWN_POSITION, UNKNOWN_FIELD_OF_VIEW = "position", "field_of_view"
UNKNOWN = "unknown"
"""What acqplan writes as these user parameters where the header must state something and nothing is known."""

NO_HEADER = "Convert it again from the scanner's file, with the header."

_COUNTER = 1 << 16  # counters of the acquisition header have 16 bits


@dataclass(frozen=True)
class Encoding:
    """One encoding space.

    ``encoded`` (readout, ky, kz) with the oversampling of the readout, ``n_readout`` samples without it;
    ``centre`` the counters (ky, kz) of the centre of k-space.
    """

    encoded: tuple[int, int, int]
    n_readout: int
    centre: tuple[int, int]
    field_of_view_mm: tuple[float, float, float] | None
    trajectory: str
    calibration_mode: str


@dataclass(frozen=True)
class Header:
    """What the header states."""

    encodings: tuple[Encoding, ...]
    noise_bandwidth: float = 1.0
    texts: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    noise_std: float | None = None


def parse(xml: bytes, path: Path) -> Header:
    """Parse the header with the classes of the package ismrmrd.

    Raises
    ------
    AcquisitionError
        It is damaged, lacks what has to be there, or states a matrix that 16-bit counters can't hold; or the
        package isn't installed.
    """
    xsd = optional_import(
        "ismrmrd.xsd", "mri", f"{path} is an ISMRMRD file and needs the package", error=AcquisitionError
    )
    if b"<!DOCTYPE" in xml[:4096] or b"<!ENTITY" in xml:
        raise AcquisitionError(f"{path} has a header with an XML document type, which ISMRMRD doesn't have.", NO_HEADER)
    try:
        header = xsd.CreateFromDocument(xml)
        encodings = tuple(_encoding(each, path) for each in header.encoding)
        system, user, sequence = (
            header.acquisitionSystemInformation,
            header.userParameters,
            header.sequenceParameters,
        )
        bandwidth = (system.relativeReceiverNoiseBandwidth if system else None) or 1.0
        texts = {each.name: each.value for each in user.userParameterString} if user else {}
        numbers = {each.name: float(each.value) for each in user.userParameterDouble} if user else {}
        parameters: dict[str, Any] = {}
        for name, key in (("TR", "TR_ms"), ("TE", "TE_ms"), ("TI", "TI_ms"), ("flipAngle_deg", "flip_angle_deg")):
            values = [float(value) for value in getattr(sequence, name)] if sequence else []
            if values:
                parameters[key] = values[0] if len(values) == 1 else values
        if "acceleration" in numbers:
            parameters["acceleration"] = numbers["acceleration"]
    except AcquisitionError:
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[:160].rstrip(". ") or type(error).__name__
        raise AcquisitionError(f"{path} has a header that can't be read: {cause}.", NO_HEADER) from error
    if not encodings:
        raise AcquisitionError(f"{path} has a header without an encoding.", NO_HEADER)
    if texts.get(UNKNOWN_FIELD_OF_VIEW) == UNKNOWN:
        encodings = tuple(replace(each, field_of_view_mm=None) for each in encodings)
    return Header(encodings, float(bandwidth), texts, parameters, numbers.get("noise_std"))


def _encoding(given: Any, path: Path) -> Encoding:
    encoded, recon = given.encodedSpace, given.reconSpace
    sides = (int(encoded.matrixSize.x), int(encoded.matrixSize.y), int(encoded.matrixSize.z))
    if not all(1 <= side < _COUNTER for side in sides):
        raise AcquisitionError(
            f"{path} has a header with an encoded matrix of {'x'.join(map(str, sides))}; ISMRMRD counts in 16 bits, "
            f"up to {_COUNTER - 1}.",
            "A counter overflowed when the file was made: convert it again in parts.",
        )
    fov = tuple(float(getattr(encoded.fieldOfView_mm, axis)) for axis in "xyz")
    recon_fov = float(recon.fieldOfView_mm.x)
    if fov[0] > 0 and recon_fov > 0:
        share = recon_fov / fov[0]
    else:
        share = int(recon.matrixSize.x) / sides[0]
    n_readout = min(sides[0], max(1, round(sides[0] * share)))
    limits = given.encodingLimits
    centre = []
    for limit, side in ((limits.kspace_encoding_step_1, sides[1]), (limits.kspace_encoding_step_2, sides[2])):
        centre.append(side // 2 if limit is None else int(limit.center))
    mode = given.parallelImaging.calibrationMode if given.parallelImaging else None
    return Encoding(
        sides,
        n_readout,
        (centre[0], centre[1]),
        (fov[0] * n_readout / sides[0], fov[1], fov[2]) if all(side > 0 for side in fov) else None,
        str(given.trajectory.value),
        str(mode.value) if mode is not None else "embedded",
    )
