"""The sweep over pairs that the rotations share."""

import numpy as np

from keras_rkm.rotations.jacobi import jacobi_rotation, plane_rotation
from tests.oracles import rotations as oracle


def test_plane_rotation_turns_the_first_axis_towards_the_second():
    np.testing.assert_allclose(plane_rotation(0.3), oracle.rotation(0.3), rtol=1e-15)


def test_it_ends_when_no_pair_turns_and_says_so():
    seen = []

    def find_angle(axes):
        seen.append(axes.shape)
        return 0.1 if len(seen) <= 3 else 0.0

    axes, converged = jacobi_rotation(3, find_angle, tolerance=0.0, max_sweeps=10)
    assert converged
    assert seen == [(3, 2)] * 6
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-15)


def test_it_gives_up_after_the_sweeps_that_it_has_and_says_so():
    axes, converged = jacobi_rotation(2, lambda axes: 0.1, tolerance=0.01, max_sweeps=4)
    assert not converged
    np.testing.assert_allclose(axes, oracle.rotation(0.4), atol=1e-15)
