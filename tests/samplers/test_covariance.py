import numpy as np
import pytest

from keras_rkm._moments import moments
from keras_rkm.samplers.covariance import floored_cholesky

_FLOOR = 1e-6


def test_a_sound_covariance_is_factorised_as_it_is():
    fitted = moments([np.random.default_rng(0).normal(size=(50, 4)) * [1, 1, 1, 2e-3]])
    scale_tril, report = floored_cholesky(fitted, _FLOOR)
    assert report is None
    np.testing.assert_array_equal(scale_tril, np.tril(scale_tril))
    np.testing.assert_allclose(scale_tril @ scale_tril.T, fitted.covariance, rtol=1e-12, atol=1e-18)


def test_floor_raises_the_dead_axes_alone_and_names_them():
    rows = np.random.default_rng(0).normal(size=(500, 4)) * [3.0, 0.0, 1.0, 1e-5]
    fitted = moments([rows])
    scale_tril, report = floored_cholesky(fitted, _FLOOR)
    variances = rows.var(axis=0)
    floor = _FLOOR * np.linalg.eigvalsh(fitted.covariance)[-1]
    np.testing.assert_allclose(
        np.diag(scale_tril @ scale_tril.T), np.maximum(variances, floor), rtol=1e-6
    )
    assert "2 of its 4 eigenvalues" in report
    assert f"axis 1 (variance 0), axis 3 (variance {variances[3]:.3g})." in report
    assert "axis 0" not in report and "axis 2" not in report


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_floor_is_relative_to_the_scale(scale):
    rows = np.random.default_rng(0).normal(size=(500, 2)) * [scale, 0.0]
    scale_tril, _ = floored_cholesky(moments([rows]), _FLOOR)
    assert scale_tril[1, 1] / scale_tril[0, 0] == pytest.approx(1e-3)


def test_linear_dependence_is_told_where_no_axis_is_dead():
    rows = np.random.default_rng(0).normal(size=(3, 5))
    scale_tril, report = floored_cholesky(moments([rows]), _FLOOR)
    assert "3 of its 5" in report
    assert "num_samples=3, latent_dim=5" in report and "axis 0" not in report
    # Directions the samples do span keep their variance.
    np.testing.assert_allclose(
        np.linalg.eigvalsh(scale_tril @ scale_tril.T)[-2:],
        np.linalg.eigvalsh(np.cov(rows.T, bias=True))[-2:],
    )


@pytest.mark.parametrize("value", [0.0, 1e-20, 5.0, 0.1, 1e6, -1e30])
def test_latents_that_are_all_the_same_get_a_variance_that_float32_holds(value):
    scale_tril, report = floored_cholesky(moments([np.full((10, 2), value)]), _FLOOR)
    assert "axis 0" in report and "axis 1" in report
    stddev = np.diag(scale_tril).astype("float32")
    assert np.all(stddev > 0) and np.all(np.isfinite((1 / stddev) ** 2))
    assert np.all(stddev <= max(1e-6 * abs(value), 1e-11))
