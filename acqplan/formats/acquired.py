"""What a file of acquired data holds, and the checks that every reader makes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import AcquisitionError
from acqplan.core.files import readable
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Geometry, Scan

FRESH_COPY = "Get a fresh copy of it, or acquire it again."
OTHER_FILE = "Pass a file of acquired data; acqplan formats lists the formats."
ARRAYS = ("readings", "order", "coil_maps", "affine")
"""Names of the arrays in a file of acquired data; all but ``readings`` may be missing."""
TEXTS = ("pattern_digest", "plan_id", "source")
"""Names of the texts in a file of acquired data; all may be missing."""
MAX_BYTES = 4 << 30  # no acquisition is near it; a damaged or hostile file may claim any size


def first_bytes(path: Path, count: int) -> bytes:
    """The first ``count`` bytes of a file; `AcquisitionError` if it can't be read, or is empty."""
    with readable(path, AcquisitionError, "Check the name."), path.open("rb") as stream:
        head = stream.read(count)
    if not head:
        raise AcquisitionError(f"{path} is empty.", FRESH_COPY)
    return head


def fields_of(acquisition: Acquisition, plan: Plan) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """(arrays, texts) to store, under the names in `ARRAYS` and `TEXTS`; what isn't known is left out."""
    affine = None if acquisition.geometry is None else acquisition.geometry.affine
    arrays = {
        "readings": acquisition.readings,
        "order": acquisition.order,
        "coil_maps": acquisition.coil_maps,
        "affine": affine,
    }
    texts = {
        "pattern_digest": acquisition.pattern_digest,
        "plan_id": plan.plan_id,
        "source": acquisition.source,
    }
    return (
        {name: array for name, array in arrays.items() if array is not None},
        {name: text for name, text in texts.items() if text is not None},
    )


def acquisition_from(
    arrays: Mapping[str, npt.NDArray[Any]], texts: Mapping[str, str], path: Path, plan: Plan
) -> Acquisition:
    """The acquisition that a file states.

    Numbers are brought to complex64, float32 and int32; a flat trace to [n, *reading_shape] where that
    has one axis more. Whether the readings fit the plan is for `Plan.reconstruct` to say.

    Raises
    ------
    AcquisitionError
        Something is missing, isn't a number, has an impossible shape, or contradicts the rest.
    """
    if "readings" not in arrays:
        raise AcquisitionError(f"{path} holds no readings.", OTHER_FILE)
    readings = _readings(arrays["readings"], plan, path)
    digest = checked_digest(texts.get("pattern_digest"), path)
    order = _order(arrays.get("order"), len(readings), path)
    if order is not None and digest == plan.pattern.digest and not np.array_equal(order, plan.pattern.order):
        raise AcquisitionError(f"{path} contradicts itself: its order isn't that of its pattern digest.", FRESH_COPY)
    maps = arrays.get("coil_maps")
    if maps is not None:
        maps = _finite(maps, "coil maps", path).astype(np.complex64)
    geometry = None
    if "affine" in arrays:
        affine = _finite(arrays["affine"], "affine", path)
        if affine.shape != (4, 4) or affine.dtype.kind == "c":
            raise AcquisitionError(f"{path} holds an affine of shape {affine.shape}, expected (4, 4).", FRESH_COPY)
        geometry = Geometry(affine.astype(np.float64))
    record = {name: texts[name] for name in ("plan_id", "source") if name in texts}
    return Acquisition(readings, digest, str(path), order, maps, geometry, record)


def checked_digest(digest: str | None, path: Path) -> str | None:
    """The digest that a file states, if any; `AcquisitionError` if it is none."""
    if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise AcquisitionError(f"{path} holds a pattern digest that is none: {digest[:80]!r}.", FRESH_COPY)
    return digest


def fields_of_scan(scan: Scan, plan: Plan) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """(arrays, texts) to store of a scan of several images, as `fields_of` does.

    ``readings`` are [images, n, *reading_shape], ``order`` int32[n] is that of every image, ``coil_maps`` are those of
    every image [C, *image_shape] or of each [images, C, *image_shape], ``affine`` is the volume's.

    Raises
    ------
    AcquisitionError
        The images were acquired in different orders, or only some have coil maps.
    """
    images = scan.acquisitions
    first = images[0]
    for other in images[1:]:
        if other.pattern_digest != first.pattern_digest or not _same(other.order, first.order):
            raise AcquisitionError(
                f"The images of {scan.source} were acquired in different orders.", "Write them one at a time."
            )
    arrays, texts = fields_of(replace(first, geometry=scan.geometry, source=scan.source), plan)
    arrays["readings"] = np.stack([each.readings for each in images])
    maps = [each.coil_maps for each in images]
    if not all(_same(each, maps[0]) for each in maps[1:]):
        known = [each for each in maps if each is not None]
        if len(known) != len(maps):
            raise AcquisitionError(f"Only some images of {scan.source} have coil maps.", "Give them all, or none.")
        arrays["coil_maps"] = np.stack(known)
    return arrays, texts


def scan_from(
    arrays: Mapping[str, npt.NDArray[Any]], texts: Mapping[str, str], n_images: int, path: Path, plan: Plan
) -> Scan:
    """The scan of several images that a file states, laid out as `fields_of_scan` says; errors of `acquisition_from`.

    The images share the memory of ``arrays``.
    """
    readings = arrays.get("readings")
    n_axes = 2 + len(plan.sensing.reading_shape)
    if readings is None or readings.ndim != n_axes or len(readings) != n_images or n_images < 1:
        found = "none" if readings is None else f"of shape {readings.shape}"
        raise AcquisitionError(
            f"{path} states {n_images} images and holds readings {found}; {n_axes} axes are expected, images first.",
            FRESH_COPY,
        )
    maps = arrays.get("coil_maps")
    of_each = maps is not None and maps.ndim == 4
    if maps is not None and of_each and len(maps) != n_images:
        raise AcquisitionError(f"{path} holds coil maps of {len(maps)} images, it has {n_images}.", FRESH_COPY)
    shared = {name: array for name, array in arrays.items() if not (name == "coil_maps" and of_each)}
    images: list[Acquisition] = []
    for i in range(n_images):
        fields = {"readings": readings[i]} if images else {**shared, "readings": readings[i]}
        if maps is not None and of_each:
            fields["coil_maps"] = maps[i]
        image = acquisition_from(fields, texts, path, plan)
        first = images[0] if images else image
        images.append(
            replace(
                image,
                order=first.order,
                coil_maps=image.coil_maps if of_each else first.coil_maps,
                geometry=first.geometry,
            )
        )
    volume = images[0].geometry
    if volume is not None:
        images = [replace(image, geometry=volume.of_slice(i)) for i, image in enumerate(images)]
    return Scan(images, str(path), volume)


def one_image_of(scan: Scan) -> Acquisition:
    """The only image of a scan; `AcquisitionError` if there are several."""
    if len(scan.acquisitions) != 1:
        raise AcquisitionError(
            f"{scan.source} holds {len(scan.acquisitions)} images, one is expected.", "Read all of them as a scan."
        )
    return scan.acquisitions[0]


def _same(one: npt.NDArray[Any] | None, other: npt.NDArray[Any] | None) -> bool:
    """Whether two optional arrays are equal."""
    if one is None or other is None:
        return one is other
    return one is other or np.array_equal(one, other)


def _numbers(values: npt.NDArray[Any], name: str, path: Path) -> npt.NDArray[Any]:
    if values.dtype.kind not in "fciu":
        raise AcquisitionError(f"{path} holds {name} of type {values.dtype}, expected numbers.", OTHER_FILE)
    if values.size == 0:
        raise AcquisitionError(f"{path} holds no {name}: the array is empty.", FRESH_COPY)
    return values


def _finite(values: npt.NDArray[Any], name: str, path: Path) -> npt.NDArray[Any]:
    if not np.isfinite(_numbers(values, name, path)).all():
        raise AcquisitionError(f"{path} holds {name} with NaN or infinite values.", FRESH_COPY)
    return values


def _readings(values: npt.NDArray[Any], plan: Plan, path: Path) -> npt.NDArray[Any]:
    numbers = _numbers(values, "readings", path)
    with np.errstate(over="ignore"):  # an overflow becomes infinite, which is refused with the other infinities
        readings = numbers.astype(np.complex64 if numbers.dtype.kind == "c" else np.float32, copy=False)
    shape = plan.sensing.reading_shape
    if readings.ndim == 1 and len(shape) == 1 and readings.size % shape[0] == 0:
        return readings.reshape(-1, *shape)
    return np.atleast_1d(readings)


def _order(values: npt.NDArray[Any] | None, n_readings: int, path: Path) -> npt.NDArray[np.int32] | None:
    if values is None:
        return None
    order = _numbers(values, "order", path)
    if order.dtype.kind not in "iu" or order.shape != (n_readings,):
        raise AcquisitionError(
            f"{path} holds an order of shape {order.shape} and type {order.dtype} for {n_readings} readings.",
            "Give the unit index of each reading, one integer per reading.",
        )
    if int(order.min()) < 0 or int(order.max()) > np.iinfo(np.int32).max:
        raise AcquisitionError(f"{path} holds an order with unit indices out of range.", FRESH_COPY)
    return order.astype(np.int32)
