import warnings

import numpy as np
import pytest
import scipy.special
import scipy.stats

from keras_rkm.samplers import GaussianMixtureSampler, GaussianSampler, select_num_components


def _component_log_probs(sampler, latents):
    """log(weight_k) + log N(latents; mean_k, covariance_k), by SciPy: `(num_samples, k)`."""
    columns = [
        np.log(weight) + scipy.stats.multivariate_normal(mean, scale @ scale.T).logpdf(latents)
        for weight, mean, scale in zip(
            *(variable.numpy().astype("float64") for variable in sampler.weights), strict=True
        )
    ]
    return np.stack(columns, axis=1)


@pytest.fixture(scope="module")
def mixture(latents):
    return GaussianMixtureSampler(3).adapt(latents)


def test_log_prob_is_the_weighted_sum_of_the_components(mixture, latents):
    expected = scipy.special.logsumexp(_component_log_probs(mixture, latents), axis=1)
    np.testing.assert_allclose(mixture.log_prob(latents), expected, rtol=1e-4)


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1e-3, 0), (1e3, 1e5)])
def test_parameters_are_a_fixed_point_of_expectation_maximisation(latents, scale, shift):
    latents = scale * latents + shift
    sampler = GaussianMixtureSampler(3).adapt(latents)
    exact = np.exp(_component_log_probs(sampler, latents))
    responsibilities = exact / exact.sum(axis=1, keepdims=True)
    counts = responsibilities.sum(axis=0)
    means = responsibilities.T @ latents / counts[:, None]
    np.testing.assert_allclose(sampler.mixture_weights, counts / len(latents), rtol=1e-4)
    np.testing.assert_allclose(sampler.means, means, atol=1e-2 * scale)
    for k in range(3):
        centred = latents - means[k]
        covariance = (responsibilities[:, k, None] * centred).T @ centred / counts[k]
        factor = sampler.scale_trils[k].numpy()
        np.testing.assert_array_equal(factor, np.tril(factor))
        np.testing.assert_allclose(factor @ factor.T, covariance, rtol=1e-2, atol=1e-2 * scale**2)


def test_samples_fall_to_the_components_by_weight_and_follow_each_of_them(mixture):
    num_samples = 20_000
    samples = mixture.sample(num_samples, seed=0).numpy()
    labels = _component_log_probs(mixture, samples).argmax(axis=1)
    weights = mixture.mixture_weights.numpy()
    for k, weight in enumerate(weights):
        members = samples[labels == k]
        error = np.sqrt(weight * (1 - weight) / num_samples)
        assert abs(len(members) / num_samples - weight) < 5 * error
        centred = members - mixture.means[k].numpy()
        noise = np.linalg.solve(mixture.scale_trils[k].numpy(), centred.T)
        assert np.abs(noise.mean(axis=1)).max() < 5 / np.sqrt(len(members))
        assert np.abs(np.cov(noise) - np.eye(4)).max() < 5 * np.sqrt(2 / len(members))


def test_component_and_noise_are_independent(mixture):
    # A mean of its own in the first axis marks a component; its noise must not show it elsewhere.
    weights = np.array([0.25, 0.25, 0.5])
    sampler = GaussianMixtureSampler.from_config(mixture.get_config())
    sampler.build_from_config(mixture.get_build_config())
    means = np.zeros((3, 4))
    means[1, 0] = 1e3
    sampler.set_weights([weights, means, np.stack([np.eye(4)] * 3)])
    samples = sampler.sample(20_000, seed=0).numpy()
    marked = samples[:, 0] > 500
    assert abs(marked.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 20_000)
    assert scipy.stats.kstest(samples[marked, 1:].ravel(), "norm").pvalue > 1e-3
    assert scipy.stats.kstest(samples[~marked].ravel(), "norm").pvalue > 1e-3


def test_one_component_is_the_gaussian(latents):
    one, gaussian = GaussianMixtureSampler(1).adapt(latents), GaussianSampler().adapt(latents)
    np.testing.assert_allclose(one.log_prob(latents), gaussian.log_prob(latents), rtol=1e-3)


def test_distribution_is_one_of_tensorflow_probability(mixture):
    import tensorflow_probability as tfp

    assert isinstance(mixture.distribution, tfp.distributions.MixtureSameFamily)


def test_seed_settles_the_fit(latents):
    noise = np.random.default_rng(0).normal(size=(200, 4))  # No clusters: the start decides.
    fits = [GaussianMixtureSampler(4, seed=seed).adapt(noise).means.numpy() for seed in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0], fits[1])
    assert not np.allclose(fits[0], fits[2])


@pytest.mark.parametrize("criterion", ["bic", "held_out"])
def test_number_of_components_is_found(latents, criterion):
    candidates = (1, 2, 3, 12)
    choice, scores = select_num_components(latents, candidates, criterion=criterion)
    assert choice == 3 and tuple(scores) == candidates
    sampler = GaussianMixtureSampler(criterion, candidates=candidates).adapt(latents)
    assert sampler.means.shape == (3, 4) and sampler.get_config()["num_components"] == criterion
    copy = GaussianMixtureSampler.from_config(sampler.get_config())
    copy.build_from_config(sampler.get_build_config())
    copy.set_weights(sampler.get_weights())
    np.testing.assert_array_equal(copy.sample(9, seed=2), sampler.sample(9, seed=2))


def test_bic_is_that_of_the_log_likelihood(latents):
    latents = 100 * latents
    _, scores = select_num_components(latents, [1, 3])
    for k, num_parameters in ((1, 14), (3, 2 + 3 * 14)):  # 4 for a mean, 10 for a covariance
        log_prob = GaussianMixtureSampler(k).adapt(latents).log_prob(latents).numpy()
        bic = num_parameters * np.log(600) - 2 * log_prob.astype("float64").sum()
        assert scores[k] == pytest.approx(bic, rel=1e-5)


def test_held_out_score_is_the_log_prob_of_samples_that_are_not_fitted(latents):
    latents = 100 * latents
    _, scores = select_num_components(latents, [3], criterion="held_out", seed=5)
    order = np.random.default_rng(5).permutation(600)
    sampler = GaussianMixtureSampler(3, seed=5).adapt(latents[order[120:]])
    held_out = sampler.log_prob(latents[order[:120]]).numpy().mean()
    assert scores[3] == pytest.approx(held_out, rel=1e-5)


def test_config_keeps_every_argument():
    arguments = {"candidates": (2, 4), "variance_floor": 1e-4, "seed": 7}
    config = GaussianMixtureSampler("held_out", **arguments).get_config()
    copy = GaussianMixtureSampler.from_config(config).get_config()
    assert copy["num_components"] == "held_out"
    assert {name: copy[name] for name in arguments} == arguments


def test_candidates_beyond_the_samples_are_left_out(latents):
    sampler = GaussianMixtureSampler("held_out", candidates=(1, 17, 400)).adapt(latents[:20])
    assert sampler.means.shape[0] == 1


_NORMAL = np.random.default_rng(0).normal(size=(200, 3))
_DEGENERATE = {
    "dead": (_NORMAL * [1, 0, 1], r"axis 1 \(variance 0\)"),
    "tiny": (_NORMAL * [1, 1, 1e-6] + 5, r"axis 2 \(variance [\d.]+e-\d\d\)"),
    "few": (_NORMAL[:3], r"num_samples=3, latent_dim=3"),
    "duplicated rows": (np.repeat(_NORMAL[:2], 50, axis=0), r"2 of its 3"),
    "lonely sample": (np.concatenate([_NORMAL, [[99.0, 99, 99]]]), r"of 2 components.*fewer comp"),
    "constant": (np.full((20, 3), 0.1), r"axis 0.*axis 1.*axis 2"),
    "zero": (np.zeros((20, 3)), r"axis 0.*axis 1.*axis 2"),
}


@pytest.mark.parametrize("latents, report", _DEGENERATE.values(), ids=_DEGENERATE)
def test_degenerate_latents_are_told_and_drawn_from(latents, report):
    with warnings.catch_warnings(record=True) as warned:  # scikit-learn warns of duplicates too
        warnings.simplefilter("always")
        sampler = GaussianMixtureSampler(2).adapt(latents)
    ours = [warning for warning in warned if "degenerate" in str(warning.message)]
    assert len(ours) == 1 and ours[0].filename == __file__
    with pytest.raises(UserWarning, match=report):
        raise ours[0].message
    samples = sampler.sample(500, seed=0).numpy()
    assert np.isfinite(samples).all() and np.isfinite(sampler.log_prob(latents)).all()
    assert np.isfinite(sampler.log_prob(samples)).all()


def test_sound_latents_are_fitted_in_silence(latents):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        GaussianMixtureSampler(3).adapt(latents)


@pytest.mark.parametrize(
    ("call", "received"),
    [
        (lambda: GaussianMixtureSampler(0), "num_components=0"),
        (lambda: GaussianMixtureSampler(2.5), "num_components=2.5"),
        (lambda: GaussianMixtureSampler("aic"), "num_components='aic'"),
        (lambda: GaussianMixtureSampler("bic", candidates=(1, 0)), "num_components=0"),
        (lambda: GaussianMixtureSampler(seed=-1), "seed=-1"),
        (lambda: GaussianMixtureSampler(variance_floor=0.0), "variance_floor=0.0"),
        (
            lambda: GaussianMixtureSampler(10).adapt(_NORMAL[:9]),
            "num_components=10, num_samples=9",
        ),
        (lambda: GaussianMixtureSampler(1).adapt(_NORMAL[:1]), "num_samples=1"),
        (lambda: GaussianMixtureSampler("bic").adapt(_NORMAL[:1]), "num_samples=1"),
        (lambda: GaussianMixtureSampler("held_out").adapt([]), "num_samples=0"),
        (lambda: select_num_components(_NORMAL, [1], criterion="aic"), "criterion='aic'"),
        (lambda: select_num_components(_NORMAL, []), r"candidates=\[\]"),
        (
            lambda: select_num_components(_NORMAL[:10], [9], criterion="held_out"),
            "num_components=9, num_samples=8",
        ),
    ],
)
def test_arguments_are_checked(call, received):
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        call()
