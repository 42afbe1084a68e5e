"""The voxels of the images that a plan was made from: in its evidence, in exports and in DICOM."""

from dataclasses import replace

import numpy as np
import pytest
from builders import sensing as small
from builders.plans import make_plan

from acqplan.core.registry import find
from acqplan.images.prepare import ImageRecord, TrainingImages
from acqplan.modalities.mri.facts import MriFacts
from acqplan.modalities.mri.voxels import as_text, field_of_view_mm, voxel_mm, voxel_of
from acqplan.sensing.acquisition import Geometry, Scan
from acqplan.workflow.reconstruct import reconstruct


def record(*sides):
    geometry = Geometry(np.diag([*sides, 1.0])) if sides else None
    return ImageRecord(np.zeros((8, 6), np.complex64), "a", "a.nii", 0, 1.0, False, geometry)


def stated(plan, *voxel):
    return replace(plan, evidence={**plan.evidence, "voxel_mm": list(voxel)})


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([record(2, 2, 3), record(2.02, 1.99, 3)], [2.01, 1.995, 3.0]),
        ([record(2, 2, 3), record(3, 2, 3)], None),
        ([record(2, 2, 3), record()], None),
    ],
)
def test_voxels_are_stated_where_all_images_agree(records, expected):
    assert voxel_of(TrainingImages(tuple(records[:1]), (), tuple(records[1:]), (8, 6))) == expected


@pytest.mark.parametrize("evidence", [None, [], [1, 2], [1, 2, "x"], [1, 2, -3], "abc", 3])
def test_a_plan_without_usable_voxels_states_none(evidence):
    plan = make_plan("lines")
    plan = plan if evidence is None else replace(plan, evidence={**plan.evidence, "voxel_mm": evidence})
    assert voxel_mm(plan) is None
    assert as_text(plan) is None
    assert "Field of view" not in dict(plan.modality.facts(plan))


def test_the_field_of_view_follows_from_the_voxels():
    lines, points = (stated(make_plan(small.mri(kind, 8, 6)), 2, 1.5, 4) for kind in ("lines", "points"))
    assert field_of_view_mm(lines, (6, 8, 1)) == (9, 16, 4)
    assert field_of_view_mm(points, (10, 8, 6)) == (40, 16, 9)
    assert dict(lines.modality.facts(lines))["Field of view"] == "16 × 9 mm (rows × columns), voxels 2 × 1.5 × 4 mm"


def test_pulseq_plays_the_plans_field_of_view_unless_another_is_given():
    pytest.importorskip("pypulseq")
    pulseq = find("instruments", "pulseq")
    plan = stated(make_plan(small.mri("lines", 64, 64), np.arange(0, 64, 2)), 3.5, 3.5, 5)
    assert pulseq()._protocol(plan).fov_mm[:2] == (224, 224)
    assert pulseq(fov_mm=200)._protocol(plan).fov_mm[:2] == (200, 200)
    assert pulseq()._protocol(make_plan(small.mri("lines", 64, 64))).fov_mm[:2] == (240, 240)


@pytest.mark.parametrize("has_geometry", [False, True])
def test_dicom_states_voxels_te_and_tr(has_geometry, tmp_path):
    pydicom = pytest.importorskip("pydicom")
    plan = stated(make_plan(small.mri("lines", 16, 12), np.arange(0, 16), reading_time_s=0.02), 2, 1.5, 4)
    acquired = plan.simulate(np.ones((16, 12), np.complex64))
    geometry = Geometry(np.diag([3.0, 3.0, 3.0, 1.0])) if has_geometry else None
    for parameters, tr in (({"TE_ms": [4.5, 9.0]}, 20), ({"TE_ms": 4.5, "TR_ms": 33.0}, 33)):
        folder = tmp_path / str(tr)
        scan = Scan([acquired], "scan", geometry, MriFacts(parameters=parameters))
        reconstruct(plan, scan, folder, as_format="dicom")
        (file,) = folder.glob("*.dcm")
        data = pydicom.dcmread(file)
        assert list(data.PixelSpacing) == ([3, 3] if has_geometry else [2, 1.5])
        if has_geometry:
            assert (data.EchoTime, data.RepetitionTime) == (4.5, tr)
