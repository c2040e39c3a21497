"""Poses: the true one is among those worth a registration, however the head is turned."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pydeface", reason="the head template is not installed: pip install --no-deps pydeface==2.1.0")

from scipy.spatial.transform import Rotation

from scanprior.privacy.atlas import averaged, head_atlas, prepare
from scanprior.privacy.pose import poses
from scanprior.privacy.template import mean_head


def degrees(one, other):
    return np.degrees(np.arccos(np.clip((np.trace(one[:3, :3].T @ other[:3, :3]) - 1) / 2, -1, 1)))


@pytest.mark.parametrize("turn", [(0, 0, 0), (180, 0, 0), (0, 40, 80), (-50, 60, -70)])
def test_a_turned_head_is_found_within_the_reach_of_a_registration(turn):
    head, true = mean_head(), np.eye(4)
    true[:3, :3] = Rotation.from_rotvec(turn, degrees=True).as_matrix()
    target = prepare(head.values, true @ head.affine)
    found = poses(averaged(target, 8.0), head_atlas(), count=10)
    assert min(degrees(one, true) for one in found) < 27
    assert all(degrees(one, other) > 20 for k, one in enumerate(found) for other in found[:k])


def test_noise_smaller_than_a_head_has_no_pose():
    values = np.random.default_rng(0).random((4, 4, 4)).astype(np.float32)
    small = prepare(values, np.diag([8.0, 8.0, 8.0, 1.0]))
    assert poses(small, head_atlas(), count=10) == []
