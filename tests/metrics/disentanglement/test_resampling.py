"""Intervals by resampling against the spread that fresh samples have, and threads."""

import functools
import threading
import warnings

import numpy as np
import pytest

from keras_rkm import metrics
from keras_rkm.metrics.disentanglement.parallel import parallel_map
from keras_rkm.metrics.disentanglement.reports import DisentanglementReport, scored
from tests.metrics.disentanglement.cases import discrete_factors, noisy_latents


def _mean(latents, factors=None, seed=0):
    return DisentanglementReport(
        metric="mean", variant="plain", **scored({"value": latents[:, 0].mean() + seed})
    )


def _sample(seed, num_samples=600):
    factors = discrete_factors(num_samples, seed=seed)
    noise = np.random.default_rng(seed + 10_000).normal(size=(num_samples, 3))
    return factors + 0.7 * noise, factors


@pytest.mark.parametrize("method", ["half_samples", "rows"])
def test_interval_of_a_mean_is_that_of_the_central_limit(method):
    latents = np.random.default_rng(0).normal(size=(400, 2)) * 3
    report = metrics.bootstrap_interval(
        _mean, latents, num_resamples=2_000, method=method, confidence=0.9
    )
    stderr = latents[:, 0].std(ddof=1) / 20
    assert report.scores["value"] == pytest.approx(latents[:, 0].mean(), abs=1e-12)
    assert report.stddevs["value"] == pytest.approx(stderr, rel=0.08)
    for end, sign in ((report.low, -1), (report.high, 1)):
        expected = report.scores["value"] + sign * 1.645 * stderr
        assert end["value"] == pytest.approx(expected, abs=0.15 * stderr)


def test_interval_of_a_mean_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        latents = np.random.default_rng(seed).normal(size=(60, 1))
        report = metrics.bootstrap_interval(
            _mean, latents, num_resamples=60, confidence=0.8, seed=seed
        )
        covered += report.low["value"] <= 0 <= report.high["value"]
    # Three standard errors of 200 draws.
    assert covered / 200 == pytest.approx(0.8, abs=3 * np.sqrt(0.8 * 0.2 / 200))


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (metrics.mutual_information_gap, "mutual_information_gap"),
        (metrics.dci, "disentanglement"),
        (metrics.dci, "informativeness"),
    ],
)
def test_interval_is_as_wide_as_fresh_samples_spread(metric, name):
    # The splits of the fresh samples differ as well, as those of the half-samples do.
    values = [metric(*_sample(seed))[name] for seed in range(1, 41)]
    report = metrics.bootstrap_interval(metric, *_sample(0), num_resamples=60)
    assert 0.6 < report.stddevs[name] / np.std(values, ddof=1) < 1.7
    width = report.high[name] - report.low[name]
    assert width == pytest.approx(2 * 1.96 * report.stddevs[name], rel=0.3)


def test_bias_of_half_as_many_samples_is_taken_off():
    latents, factors = _sample(0, num_samples=120)
    # Of unrelated codes the plug-in information is all bias, twice as large in a half.
    latents = np.random.default_rng(0).normal(size=latents.shape)
    name = "mutual_information_gap"
    report = metrics.bootstrap_interval(metrics.mutual_information_gap, latents, factors)
    assert report.low[name] < report.scores[name] < report.high[name]
    middle = (report.low[name] + report.high[name]) / 2
    assert middle == pytest.approx(report.scores[name], abs=report.stddevs[name])


def test_half_samples_have_no_row_twice_and_rows_are_drawn_with_replacement():
    latents = np.arange(101.0)[:, None]
    for method in ("half_samples", "rows"):
        drawn = []

        def metric(latents, factors, drawn=drawn):
            drawn.append((latents[:, 0], factors[:, 0]))
            return _mean(latents)

        metrics.bootstrap_interval(metric, latents, -latents, num_resamples=5, method=method)
        assert np.array_equal(drawn[0][0], np.arange(101))
        for rows, factors in drawn[1:]:
            assert np.array_equal(rows, -factors)
            assert (len(rows), len(set(rows)) == len(rows)) == (
                (50, True) if method == "half_samples" else (101, False)
            )
        assert len({tuple(rows) for rows, _ in drawn}) == 6


def test_interval_of_udr_draws_the_same_rows_from_every_run():
    first = np.random.default_rng(0).normal(size=(200, 3))
    report = metrics.bootstrap_interval(
        functools.partial(metrics.udr, similarity="spearman"),
        [first, first[:, ::-1]],
        num_resamples=10,
    )
    # Other rows would have nothing in common.
    assert report.low["udr"] > 0.8
    assert report.metric == "bootstrap_interval of udr, spearman"


def test_seed_fixes_every_bit_of_an_interval_and_threads_change_none():
    latents, factors = _sample(0, num_samples=300)
    interval = functools.partial(
        metrics.bootstrap_interval, metrics.dci, latents, factors, num_resamples=6
    )
    first = interval(seed=1)
    assert interval(seed=1) == first
    assert interval(seed=1, n_jobs=2) == first
    assert interval(seed=2) != first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_resamples": 1}, "`num_resamples` must be an int of at least 2"),
        ({"confidence": 1.0}, r"`confidence` must be in \(0, 1\).*1.0"),
        ({"confidence": 95}, r"`confidence` must be in \(0, 1\).*95"),
        ({"method": "jackknife"}, "`method` must be one of.*'jackknife'"),
        ({"seed": 1.5}, "`seed` must be an int"),
        ({"n_jobs": -3}, "`n_jobs` must be an int"),
    ],
)
def test_bad_arguments_of_an_interval_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.bootstrap_interval(_mean, np.eye(4), **arguments)


def test_spread_over_seeds_is_the_mean_and_range_of_single_reports():
    latents, factors = _sample(0, num_samples=300)
    seeds = (3, 1, 8)
    metric = functools.partial(metrics.dci, regressor="random_forest", max_depth=5)
    report = metrics.spread_over_seeds(metric, latents, factors, seeds=seeds)
    for name in ("disentanglement", "completeness", "informativeness"):
        values = [metric(latents, factors, seed=seed)[name] for seed in seeds]
        assert report.scores[name] == pytest.approx(np.mean(values), abs=1e-12)
        assert (report.low[name], report.high[name]) == (min(values), max(values))
        assert report.stddevs[name] == pytest.approx(np.std(values, ddof=1), abs=1e-12)
        assert report.low[name] < report.high[name]
    assert report.directions["informativeness"] == "NRMSE, lower is better"
    assert report.metric == "spread_over_seeds of dci, random_forest_2018"
    assert report == metrics.spread_over_seeds(metric, latents, factors, seeds=seeds, n_jobs=2)
    assert "mean and range over 3 seeds" in str(report)


@pytest.mark.parametrize("seeds", [(), (1,), 5, [1, 1, 2], np.zeros((2, 2), int)])
def test_fewer_than_two_different_seeds_are_told(seeds):
    with pytest.raises(ValueError, match="`seeds` must be two different ints or more"):
        metrics.spread_over_seeds(_mean, np.eye(4), np.eye(4), seeds=seeds)


@pytest.mark.parametrize("seeds", [(0, -1), (0, 0.5)])
def test_bad_seed_is_told(seeds):
    with pytest.raises(ValueError, match="`seed` must be an int of at least 0"):
        metrics.spread_over_seeds(_mean, np.eye(4), np.eye(4), seeds=seeds)


@pytest.mark.parametrize("n_jobs", [None, 1, 2, 5, -1])
def test_parallel_map_keeps_order(n_jobs):
    assert parallel_map(lambda value: value**2, range(20), n_jobs) == [v**2 for v in range(20)]


def test_parallel_map_runs_in_threads_and_passes_errors_on():
    barrier = threading.Barrier(2, timeout=20)
    # Nobody passes unless two wait at a time.
    assert len(parallel_map(lambda _: barrier.wait(), range(2), 2)) == 2

    def fail(_):
        raise ValueError("no such thing")

    for n_jobs in (1, 2):
        with pytest.raises(ValueError, match="no such thing"):
            parallel_map(fail, range(3), n_jobs)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_parallel_map_holds_back_warnings_of_convergence_alone_and_restores_filters(n_jobs):
    from sklearn.exceptions import ConvergenceWarning

    def warn(index):
        warnings.warn("early", ConvergenceWarning, stacklevel=1)
        warnings.warn(f"other {index}", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        parallel_map(warn, range(8), n_jobs)
        assert warnings.filters == before
    assert {str(w.message) for w in caught} == {f"other {index}" for index in range(8)}


def test_parallel_map_within_parallel_map_leaves_filters_and_threads_as_they_were():
    import threadpoolctl

    def limits():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]

    def inner(value):
        return sum(parallel_map(lambda v: v + value, range(3), 2))

    with threadpoolctl.threadpool_limits(limits=2):
        filters, before = list(warnings.filters), limits()
        assert parallel_map(inner, range(6), 2) == [3 + 3 * value for value in range(6)]
        assert parallel_map(lambda _: limits(), range(2), 2) == [[1] * len(before)] * 2
        assert warnings.filters == filters
        assert limits() == before


def test_parallel_map_in_another_thread_leaves_the_filters_of_the_process_alone():
    seen, before = [], list(warnings.filters)

    def work():
        parallel_map(lambda _: seen.append(list(warnings.filters)), range(2), 1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=60)
    assert seen == [before, before]


def test_scores_of_nested_threads_are_those_of_none():
    latents, factors = _sample(0, num_samples=200)
    results = [
        metrics.bootstrap_interval(
            functools.partial(metrics.dci, n_jobs=inner),
            noisy_latents(factors),
            factors,
            num_resamples=4,
            n_jobs=outer,
        )
        for inner, outer in ((1, 1), (2, 2))
    ]
    assert results[0] == results[1]
