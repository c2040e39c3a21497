"""Faces: removed on real heads, left alone where there is none, refused where nobody can tell."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("pydeface", reason="the head template is not installed: pip install --no-deps pydeface==2.1.0")

from scanprior.privacy import face, template
from scanprior.privacy.atlas import head_atlas, onto, prepare
from scanprior.privacy.face import SMALLEST, look
from scanprior.privacy.fit import Fit, apart
from scanprior.privacy.picture import before_and_after
from scanprior.privacy.refused import Refused
from scanprior.privacy.template import mean_head


def load(path):
    image = nib.load(path)
    return np.asarray(image.dataobj).astype(np.float32).squeeze(), np.asarray(image.affine, float)


def mean_scan():
    head = mean_head()
    return head.values + np.float32(0.01), head.affine


def test_the_template_knows_its_brain_and_its_face():
    head = mean_head()
    litres = head.brain.sum() * abs(np.linalg.det(head.affine[:3, :3])) / 1e6
    assert 1.1 < litres < 1.4
    assert not (head.brain & head.face).any() and head.skin.sum() > 5000


def test_the_mean_head_itself_loses_its_face_and_nothing_of_its_brain():
    array, affine = mean_scan()
    seen = look(array, affine)
    head = mean_head()
    assert seen.verdict == "removed" and seen.information > 1.0
    assert (seen.removed & head.skin).sum() > 0.97 * head.skin.sum()
    assert not (seen.removed & head.brain).any()


@pytest.mark.parametrize(
    "name", ["face_adult_mprage_1mm", "face_coarse_tumour_t1_6mm", "face_colin27_t1_2mm", "face_prone_t1_2d_5mm"]
)
def test_real_faces_go(scanprior_data, name):
    array, affine = load(scanprior_data / f"heads/{name}.nii.gz")
    seen = look(array, affine)
    assert seen.verdict == "removed"
    assert 0.03 < seen.removed.mean() < 0.25  # the face, not the head
    try:
        again = look(np.where(seen.removed, array.min(), array), affine).verdict
    except Refused:  # 6.5 mm slices cut at the nose: in doubt, so refused
        again = "refused"
    assert again in ("already-gone", "outside") or (again == "refused" and "coarse" in name)


def moved(millimetres, information):
    matrix = np.eye(4)
    matrix[0, 3] = millimetres
    return Fit(matrix, information, (1.0, 1.0))


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([], "nobody else has looked"),
        ([moved(8, 0.69)], "the second registration comes to another place"),
        ([moved(1, 0.4)], "the second registration is too weak to vouch"),
        ([moved(1, 0.69), moved(60, 0.68)], "another place fits as well"),
    ],
)
def test_a_fit_that_no_second_registration_vouches_for_is_refused(monkeypatch, others, why):
    monkeypatch.setattr(face, "fit_beside", lambda target, atlas: [])
    monkeypatch.setattr(face, "fit", lambda target, atlas: [moved(0, 0.7)])
    monkeypatch.setattr(face, "refit", lambda target, atlas, start: others)
    with pytest.raises(Refused):
        look(*mean_scan())


def test_two_certain_fits_beside_the_header_are_enough_and_two_lesser_ones_are_not(monkeypatch):
    asked = []
    monkeypatch.setattr(face, "fit", lambda target, atlas: asked.append(1) or [])
    monkeypatch.setattr(face, "fit_beside", lambda target, atlas: [moved(0, 0.7), moved(1, 0.61)])
    assert look(*mean_scan()).verdict == "removed" and not asked
    for other in (moved(1, 0.59), moved(8, 0.69)):
        monkeypatch.setattr(face, "fit_beside", lambda target, atlas, other=other: [moved(0, 0.7), other])
        with pytest.raises(Refused):
            look(*mean_scan())
    assert asked


def test_two_registrations_that_ended_early_are_brought_to_one_place():
    target, atlas = prepare(*mean_scan()), head_atlas()
    early = face._Pair(moved(2.5, 0.70), moved(-2.0, 0.68))
    better = face._polished(target, atlas, early)
    places = face._face_places()
    assert apart(*early, places) > 4 and apart(*better, places) < 1
    assert all(one.information > 1.0 and apart(one, moved(0, 0), places) < 1 for one in better)
    assert face._polished(target, atlas, better) is better, "nothing is left to gain"


@pytest.mark.parametrize("where", [moved(9, 0.9), moved(0, 0.9)._replace(stretch=(0.5, 1.0))])
def test_polishing_that_leads_away_is_not_followed(monkeypatch, where):
    pair = face._Pair(moved(0, 0.7), moved(1, 0.69))
    monkeypatch.setattr(face, "polish", lambda target, atlas, start: where if start is pair.used else start)
    assert face._polished(prepare(*mean_scan()), head_atlas(), pair) is pair


def test_a_second_registration_that_agrees_vouches_and_its_face_goes_too(monkeypatch):
    monkeypatch.setattr(face, "polish", lambda target, atlas, start: start)
    monkeypatch.setattr(face, "fit_beside", lambda target, atlas: [])
    monkeypatch.setattr(face, "fit", lambda target, atlas: [moved(0, 0.7)])
    monkeypatch.setattr(face, "refit", lambda target, atlas, start: [moved(4, 0.69), moved(60, 0.5)])
    array, affine = mean_scan()
    seen = look(array, affine)
    head = mean_head()
    faces = [onto(head.face, affine, one.matrix, array.shape, affine) for one in (moved(0, 0), moved(4, 0))]
    brains = [onto(head.brain, affine, one.matrix, array.shape, affine) for one in (moved(0, 0), moved(4, 0))]
    assert np.array_equal(seen.removed, (faces[0] | faces[1]) & ~(brains[0] | brains[1]))


def test_a_defaced_head_and_stripped_brains_are_left_alone(scanprior_data):
    array, affine = load(scanprior_data / "heads/noface_ms_patient01_study1_t1.nii.gz")
    assert look(array, affine).verdict == "already-gone"
    brain = next((scanprior_data / "study2/ds002748_bids").glob("sub-*/anat/*.nii.gz"))
    assert look(*load(brain)).verdict == "stripped"


def test_a_dark_face_in_a_noisy_scan_is_not_taken_for_gone(scanprior_data):
    """Far from the coil, skin is darker than half of Otsu's threshold; a bent contrast with noise makes it darker yet."""
    array, affine = load(scanprior_data / "heads/face_adult_mprage_1mm.nii.gz")
    low, high = np.percentile(array, [1, 99.8])
    unit = np.clip((array - low) / (high - low), 0, 1)
    dark = (unit**1.5 + np.random.default_rng(0).normal(0, 0.02, unit.shape)).astype(np.float32)
    try:
        assert look(dark, affine).verdict == "removed"
    except Refused as refused:
        assert refused.code == "face-doubt"


def test_a_brain_without_its_skull_is_recognised():
    head = mean_head()
    assert look(np.where(head.brain, head.values, 0), head.affine).verdict == "stripped"


def test_small_volumes_can_show_no_face():
    side = int((SMALLEST / 2) ** (1 / 3))
    assert look(np.random.default_rng(0).random((side,) * 3), np.eye(4)).verdict == "no-head"
    assert look(np.zeros((35, 50, 36)), np.eye(4)).removed is None


def test_noise_and_other_organs_are_refused_unless_the_header_names_another_part():
    rng = np.random.default_rng(0)
    grid = np.indices((60, 60, 60)) - 30
    ball = ((grid**2).sum(0) < 25**2) * (1 + 0.3 * rng.random((60, 60, 60)))
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    with pytest.raises(Refused) as caught:
        look(ball.astype(np.float32), affine)
    assert caught.value.code == "face-doubt"
    assert look(ball.astype(np.float32), affine, elsewhere=True).verdict == "no-head"


@pytest.mark.parametrize("axis", [(0, 0, 180), (0, 137, 0), (60, 60, 60)])
def test_a_head_whose_header_lies_about_its_axes_is_turned(axis):
    """By 180 degrees ITK's versor cannot move: every such head was refused."""
    array, affine = mean_scan()
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(axis, degrees=True).as_matrix()
    seen = look(array, turn @ affine)
    assert seen.verdict == "removed" and (seen.removed & mean_head().skin).sum() > 0.95 * mean_head().skin.sum()


def test_the_same_scan_gives_the_same_bits():
    array, affine = mean_scan()
    first, second = look(array, affine), look(array.copy(), affine.copy())
    assert first.information == second.information and np.array_equal(first.removed, second.removed)


def test_the_mask_goes_on_below_the_template():
    head = mean_head()
    below = head.affine.copy()
    below[2, 3] -= 60
    grown = onto(head.face, head.affine, np.eye(4), head.face.shape, below)
    assert grown[:, -20:, :10].all()


def test_pictures_are_small_grey_pngs():
    array, affine = mean_scan()
    content = before_and_after(array, affine, mean_head().face)
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) < 100_000 and b"tEXt" not in content


def test_a_missing_template_is_one_sentence_with_the_command(monkeypatch):
    def missing(name):
        raise template.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(template.importlib.metadata, "files", missing)
    with pytest.raises(template.ScanpriorError) as caught:
        template._locate("facemask.nii.gz")
    assert "pydeface==2.1.0" in caught.value.hint
