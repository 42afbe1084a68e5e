"""Twix files, written by twixtools itself: no file of a scanner is at hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import twixtools
from twixtools.mdb import Mdb_local

from builders.ismrmrd_files import oversampled

ROWS, COLUMNS, COILS = 12, 10, 2


def header(meas: dict[str, Any], protocol: dict[str, Any]) -> npt.NDArray[np.bytes_]:
    """A measurement's header of two parts, as the scanner lays it out."""
    xml = "\n".join(f'<ParamLong."{name}"> {{ {value} }}' for name, value in meas.items())
    asc = "\n".join(f"{name} = {value}" for name, value in protocol.items())
    parts = [("Meas", f"<XProtocol>\n{xml}\n"), ("MeasYaps", f"### ASCCONV BEGIN ###\n{asc}\n### ASCCONV END ###\n")]
    body = b"".join(name.encode() + b"\0" + struct.pack("<I", len(text)) + text.encode() for name, text in parts)
    body += bytes(-(len(body) + 8) % 32 + 64)
    return np.frombuffer(struct.pack("<II", len(body) + 8, len(parts)) + body, "S1")


def protocol(**others: Any) -> dict[str, Any]:
    return {
        "sKSpace.lBaseResolution": COLUMNS,
        "sKSpace.lPhaseEncodingLines": ROWS,
        "sKSpace.ucDimension": 2,
        "sKSpace.ucTrajectory": 1,
        "sSliceArray.asSlice[0].dReadoutFOV": 200.0,
        "sSliceArray.asSlice[0].dPhaseFOV": 240.0,
        "sSliceArray.asSlice[0].dThickness": 5.0,
        "alTR[0]": 30000,
        "adFlipAngleDegree[0]": 15,
    } | others


def block(data: npt.NDArray[Any], flags: Sequence[str] = (), **fields: Any) -> Mdb_local:
    """One readout [coils, samples] with counters (Lin, Par, …) and fields of its header."""
    made = Mdb_local(np.ascontiguousarray(data, np.complex64))
    made.mdh.CenterCol, made.mdh.CenterLin = data.shape[1] // 2, ROWS // 2
    made.mdh.SliceData.Quaternion[0] = 1
    for flag in flags:
        made.add_flag(flag)
    for name, value in fields.items():
        if name == "slice_position":
            place = made.mdh.SliceData.SlicePos
            place.Sag, place.Cor, place.Tra = value
        else:
            setattr(made.mdh.Counter if hasattr(made.mdh.Counter, name) else made.mdh, name, value)
    return made


def write(path: Path, *measurements: tuple[dict[str, Any], dict[str, Any], list[Mdb_local]]) -> Path:
    scans = [{"hdr_str": header(meas, asc), "mdb": blocks} for meas, asc, blocks in measurements]
    twixtools.write_twix(scans, str(path))
    return path


def sound(path: Path, images: npt.NDArray[np.complex64], order: Sequence[int] | None = None) -> Path:
    """images[slices, coils, rows, columns], oversampled, slices 6 mm apart."""
    kspace = oversampled(images)
    blocks = [
        block(kspace[s, :, ky], Lin=int(ky), Sli=s, slice_position=(1.0, 2.0, 6.0 * s))
        for ky in (range(ROWS) if order is None else order)
        for s in range(len(images))
    ]
    return write(path, ({"iPEFTLength": ROWS, "iNoOfFourierColumns": 2 * COLUMNS}, protocol(), blocks))
