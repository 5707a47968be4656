"""The control by random rotations: what it turns, what it leaves, and what it reports."""

import functools
import json

import numpy as np
import pytest

from keras_rkm import metrics
from keras_rkm.metrics.disentanglement.controls import random_rotation
from keras_rkm.metrics.disentanglement.reports import HIGHER, LOWER, DisentanglementReport, scored
from tests.metrics.disentanglement.cases import discrete_factors, noisy_latents


def _recorder(value_of, direction=HIGHER):
    """A metric that keeps what it was given; `value_of` gets the latents."""
    seen = []

    def metric(latents, factors=None):
        seen.append((latents, factors))
        overrides = {} if direction == HIGHER else {"value": direction}
        return DisentanglementReport(
            metric="recorder", variant="plain", **scored({"value": value_of(latents)}, **overrides)
        )

    return metric, seen


def test_rotations_are_orthogonal_and_even():
    generator = np.random.default_rng(0)
    draws = np.array([random_rotation(3, generator) for _ in range(4_000)])
    products = draws @ draws.transpose(0, 2, 1)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), products.shape), atol=1e-12)
    # Of the even distribution every entry has mean 0, variance 1/3 and fourth moment 1/5, and is
    # positive half of the time; QR by itself gives the diagonal one sign.
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose((draws**2).mean(axis=0), 1 / 3, atol=0.03)
    np.testing.assert_allclose((draws**4).mean(axis=0), 1 / 5, atol=0.03)
    np.testing.assert_allclose((draws > 0).mean(axis=0), 0.5, atol=0.04)


def test_latents_as_they_are_come_first_and_rotations_keep_their_geometry():
    latents = noisy_latents(discrete_factors(200))
    factors = discrete_factors(200)
    metric, seen = _recorder(lambda latents: 0.5)
    metrics.random_rotation_control(metric, latents, factors, num_rotations=3)
    assert len(seen) == 4
    assert np.array_equal(seen[0][0], latents)
    scaled = (latents - latents.mean(axis=0)) / latents.std(axis=0)
    for rotated, given in seen[1:]:
        assert given is factors
        np.testing.assert_allclose(rotated @ rotated.T, scaled @ scaled.T, atol=1e-9)
        assert abs(rotated - scaled).max() > 0.1
    assert abs(seen[1][0] - seen[2][0]).max() > 0.1


def test_without_standardisation_the_latents_are_rotated_as_they_are():
    latents = noisy_latents(discrete_factors(200))
    metric, seen = _recorder(lambda latents: 0.5)
    report = metrics.random_rotation_control(
        metric, latents, num_rotations=1, standardisation="none"
    )
    np.testing.assert_allclose(seen[1][0] @ seen[1][0].T, latents @ latents.T, rtol=1e-9)
    assert (report.standardisation, report.rotated_stddevs) == ("none", {"value": 0.0})


@pytest.mark.parametrize("standardisation", ["unit_variance", "none"])
@pytest.mark.parametrize("num_live", [0, 1, 3])
def test_dead_latents_stay_dead(num_live, standardisation):
    latents = noisy_latents(discrete_factors(200))
    latents[:, num_live:] = 0.1
    metric, seen = _recorder(lambda latents: 0.5)
    metrics.random_rotation_control(
        metric, latents, num_rotations=2, standardisation=standardisation
    )
    for rotated, _ in seen[1:]:
        assert not rotated[:, num_live:].any()
        assert (rotated[:, :num_live].std(axis=0) > 0).all()


@pytest.mark.parametrize(
    ("direction", "expected"), [(HIGHER, 0.25), (LOWER, 0.75), (f"NRMSE, {LOWER}", 0.75)]
)
def test_share_counts_rotations_that_are_at_least_as_good(direction, expected):
    values = iter([0.5, 0.7, 0.2, 0.3, 0.4])
    metric, _ = _recorder(lambda latents: next(values), direction)
    report = metrics.random_rotation_control(metric, np.eye(5), num_rotations=4)
    assert report.shares_as_good == {"value": expected}
    assert report.scores == {"value": 0.5}
    assert report.rotated_means["value"] == pytest.approx(0.4)
    assert report.rotated_stddevs["value"] == pytest.approx(np.std([0.7, 0.2, 0.3, 0.4], ddof=1))
    assert report.directions == {"value": direction}


@pytest.mark.parametrize("direction", [HIGHER, LOWER])
def test_score_that_no_rotation_changes_counts_as_equal(direction):
    latents = noisy_latents(discrete_factors(200))
    metric, _ = _recorder(lambda z: np.trace(np.corrcoef(z.T)) + z.shape[1] * 1e-13, direction)
    invariant, _ = _recorder(lambda z: np.linalg.norm(z), direction)
    for score in (metric, invariant):
        report = metrics.random_rotation_control(
            score, latents, num_rotations=5, standardisation="none"
        )
        assert report.shares_as_good == {"value": 1.0}


def test_ideal_codes_beat_every_rotation_and_rotated_ones_do_not():
    factors = discrete_factors(600)
    scaled = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    turned = scaled @ random_rotation(3, np.random.default_rng(5))
    metric = functools.partial(metrics.dci, seed=2)
    ideal, rotated = (
        metrics.random_rotation_control(metric, latents, factors, num_rotations=20)
        for latents in (scaled, turned)
    )
    assert ideal.shares_as_good["disentanglement"] == 0
    assert 0 < rotated.shares_as_good["disentanglement"] < 1
    # The rotations of both are of one distribution.
    assert ideal.rotated_means["disentanglement"] == pytest.approx(
        rotated.rotated_means["disentanglement"], abs=0.12
    )
    assert ideal.metric == "random_rotation_control of dci, lasso_2018"
    fields = json.loads(json.dumps(ideal.as_dict(), allow_nan=False))
    assert fields["shares_as_good"] == ideal.shares_as_good
    assert "disentanglement 1.0000, rotated 0." in str(ideal)


def test_every_run_of_udr_is_rotated_for_itself():
    latents = np.random.default_rng(0).uniform(size=(500, 3))
    report = metrics.random_rotation_control(
        functools.partial(metrics.udr, similarity="spearman"), [latents, latents], num_rotations=4
    )
    assert report.scores["udr"] == pytest.approx(1, abs=0.1)
    # With a common rotation the runs would agree as before.
    assert report.rotated_means["udr"] < report.scores["udr"] - 0.2
    assert report.shares_as_good["udr"] == 0


def test_seed_fixes_every_bit_and_threads_change_none():
    factors = discrete_factors(300)
    latents = noisy_latents(factors, noise=1.0)
    control = functools.partial(
        metrics.random_rotation_control, metrics.dci, latents, factors, num_rotations=3
    )
    first = control(seed=1)
    assert control(seed=1) == first
    assert control(seed=1, n_jobs=2) == first
    assert control(seed=2).rotated_means != first.rotated_means


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_rotations": 0}, "`num_rotations` must be an int of at least 1.*0"),
        ({"num_rotations": 2.0}, "`num_rotations` must be an int"),
        ({"standardisation": "range"}, "`standardisation` must be one of.*'range'"),
        ({"seed": -1}, "`seed` must be an int of at least 0"),
        ({"n_jobs": 0}, "`n_jobs` must be an int of at least 1"),
    ],
)
def test_bad_arguments_are_told(arguments, message):
    factors = discrete_factors(100)
    with pytest.raises(ValueError, match=message):
        metrics.random_rotation_control(metrics.dci, factors, factors, **arguments)


def test_bad_latents_are_told():
    factors = discrete_factors(100)
    with pytest.raises(ValueError, match="`latents` must be numbers in two dimensions"):
        metrics.random_rotation_control(metrics.dci, factors[:, 0], factors)
    with pytest.raises(ValueError, match="`latents` must be finite"):
        metrics.random_rotation_control(metrics.dci, np.full((100, 2), np.nan), factors)
