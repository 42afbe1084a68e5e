"""One stack of images of one subject, as a file holds it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from acqplan.sensing.acquisition import Geometry

Pixels = npt.NDArray[np.complex64] | npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ImageStack:
    """The images of one file: the slices of one volume, or the frames of one field of view.

    Parameters
    ----------
    images
        complex64 or float32 [n, H, W], finite, in the file's own units.
    subject
        Whom or what the images show. Stacks of the same subject are never separated by a
        split, except when there is no other subject (`acqplan.images.split`).
    source
        The file, or the sample's name: for messages and records.
    is_magnitude
        The images are real and non-negative: a magnitude whose phase is lost, or an intensity.
    geometry
        Position of the *whole stack*: voxel index (row, column, slice) to millimetres. None
        where the file doesn't say.
    warnings
        What a user should know about these images, one sentence each, naming the file.
    first_slice
        Number of ``images[0]`` in the file: a part of a stack remembers where it was.
    recommended_binning
        Pixels along each side that are well averaged into one, or None: known of samples.
    is_2d_scan
        They were reconstructed from raw data of slices, in which one axis alone was phase-encoded.
    coil_images
        complex64[n, C, H, W] of raw data of several coils, whose root of the sum of squares ``images`` then are; None
        of all others. How they are combined depends on their final size (`acqplan.images.prepare`).
    """

    images: Pixels
    subject: str
    source: str
    is_magnitude: bool
    geometry: Geometry | None = None
    warnings: tuple[str, ...] = ()
    first_slice: int = 0
    recommended_binning: int | None = None
    is_2d_scan: bool = False
    coil_images: npt.NDArray[np.complex64] | None = None

    @property
    def n_coils(self) -> int:
        """C, or 1."""
        return 1 if self.coil_images is None else int(self.coil_images.shape[1])

    @property
    def n_slices(self) -> int:
        """Number of images n."""
        return int(self.images.shape[0])

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows H and columns W of one image."""
        return int(self.images.shape[1]), int(self.images.shape[2])

    def slice_geometry(self, i: int) -> Geometry | None:
        """Where ``images[i]`` lies, as a volume of one slice: (row, column, 0) to millimetres."""
        return None if self.geometry is None else self.geometry.of_slice(i)

    def slices(self, start: int, stop: int) -> ImageStack:
        """The images ``start`` to ``stop`` (exclusive), where they were in space."""
        return replace(
            self,
            images=self.images[start:stop],
            coil_images=None if self.coil_images is None else self.coil_images[start:stop],
            geometry=self.slice_geometry(start),
            first_slice=self.first_slice + start,
        )

    def region(self, rows: tuple[int, int], columns: tuple[int, int]) -> ImageStack:
        """The pixels ``rows`` by ``columns`` (stop exclusive) of every image, where they were in space."""
        corner = (float(rows[0]), float(columns[0]), 0.0)
        inside = (..., slice(*rows), slice(*columns))
        return replace(
            self,
            images=self.images[inside],
            coil_images=None if self.coil_images is None else self.coil_images[inside],
            geometry=None if self.geometry is None else self.geometry.moved(corner),
        )
