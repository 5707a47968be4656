import dataclasses
import functools
import json

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm import evaluation, metrics, models, networks, samplers
from keras_rkm.evaluation import MEASURES, PRESETS


class Projection:
    """A model of 6x6 images whose latents are three pixels, which is what its decoder draws."""

    def __init__(self, latents=slice(0, 3)):
        self._latents = latents

    def encode(self, images):
        return tf.reshape(images, (len(images), 36))[:, self._latents]

    def decode(self, latents):
        latents = tf.convert_to_tensor(latents)
        return tf.reshape(tf.pad(latents, [[0, 0], [0, 33]]), (-1, 6, 6, 1))

    def reconstruct(self, images):
        return self.decode(self.encode(images))


def _factors(num_images=600, seed=0):
    return np.random.default_rng(seed).integers(0, 4, size=(num_images, 3))


def _images(factors, noise=0.05):
    """The factors as the first three pixels, and noise in the others."""
    pixels = noise * np.random.default_rng(1).random((len(factors), 36))
    pixels[:, :3] = (factors + 0.5) / 4
    return pixels.reshape(-1, 6, 6, 1).astype("float32")


def _flat(images):
    return tf.reshape(images, (len(images), -1))


FACTORS = _factors()
IMAGES = _images(FACTORS)
SAMPLER = samplers.GaussianSampler().adapt(np.asarray(Projection().encode(IMAGES)))
# All that these images can have: a level of the pyramid needs sixteen pixels.
_LARGE_ONLY = "laplacian_sliced_wasserstein_distance"
_QUICK = {"factor_vae_score": {"num_train": 300, "num_test": 200}}
_QUICK["beta_vae_score"] = _QUICK["factor_vae_score"]
QUICK = dataclasses.replace(PRESETS["full"], options=_QUICK)


@functools.cache
def _everything():
    return evaluation.evaluate(
        Projection(),
        IMAGES,
        factors=FACTORS,
        factor_kinds=["categorical", "continuous", ("circular", 4)],
        factor_names=["shape", "size", "angle"],
        sampler=SAMPLER,
        extractor=_flat,
        preset=QUICK,
        num_rotations=2,
        num_resamples=2,
        num_draws=2,
    )


@pytest.mark.slow
def test_all_measures_are_taken_in_their_order():
    found = _everything()
    assert [*found.measured] == [name for name in MEASURES if name != _LARGE_ONLY]
    assert [*found.skipped] == [_LARGE_ONLY]
    assert "16" in found.skipped[_LARGE_ONLY]


def test_reports_are_those_of_the_functions_on_latents_and_factors():
    latents = np.asarray(Projection().encode(IMAGES))
    found = _everything()
    names = {"factor_names": ["shape", "size", "angle"]}
    kinds = {"factor_kinds": ["categorical", "continuous", ("circular", 4)]}
    expected = {
        "dci_lasso": metrics.dci(latents, FACTORS, **names),
        "dci_random_forest": metrics.dci(latents, FACTORS, regressor="random_forest", **names),
        "dci_gradient_boosting": metrics.dci(
            latents, FACTORS, regressor="gradient_boosting", **names
        ),
        "dci_lasso_by_kind": metrics.dci(latents, FACTORS, **kinds, **names),
        "mutual_information_gap": metrics.mutual_information_gap(latents, FACTORS),
        "sap_score": metrics.sap_score(latents, FACTORS),
        "sap_score_by_kind": metrics.sap_score(latents, FACTORS, **kinds),
        "factor_vae_score": metrics.factor_vae_score(
            latents, FACTORS, **_QUICK["factor_vae_score"]
        ),
        "irs": metrics.irs(latents, FACTORS),
        "infomec": metrics.infomec(latents, FACTORS),
    }
    for name, report in expected.items():
        assert found[name].report.scores == report.scores, name
        assert found[name].report.variant == report.variant, name
    assert found["dci_lasso_by_kind"].report.column_names == ("shape", "size", "angle")
    assert found["reconstruction_error"].report == metrics.reconstruction_error(
        IMAGES, Projection().reconstruct
    )
    assert found["orthogonality_of_variation"].report == metrics.orthogonality_of_variation(
        Projection().decode, latents[:256]
    )


def test_generated_images_are_as_many_as_the_real_ones_and_of_eight_bits():
    found = _everything()
    drawn = [np.asarray(SAMPLER.sample(600, seed=seed)) for seed in (0, 1)]
    images = [np.round(255 * np.clip(Projection().decode(each), 0, 1)) / 255 for each in drawn]
    for report, each in zip(found["frechet_distance"].reports, images, strict=True):
        expected = metrics.frechet_distance(_flat(IMAGES).numpy(), each.reshape(600, -1))
        assert report.value == pytest.approx(expected.value, rel=1e-4)
        assert report.num_samples_a == report.num_samples_b == 600
        assert report.protocol == "features of _flat"


def test_generated_images_are_those_of_generate_where_a_model_draws_more_than_latents():
    model = models.InfoGAN(
        networks.dense_encoder((6, 6, 1), 8, hidden_dims=(), seed=1),
        networks.dense_decoder(8, (6, 6, 1), hidden_dims=(), seed=2),
        latent_dim=3,
        seed=0,
    )
    found = evaluation.evaluate(
        model, IMAGES, sampler=SAMPLER, extractor=_flat, measures=["frechet_distance"], seed=4
    )
    images = np.round(255 * model.generate(600, SAMPLER, seed=4).numpy()) / 255
    without_noise = model.decode(SAMPLER.sample(600, seed=4)).numpy()
    real = _flat(IMAGES).numpy()
    expected, wrong = (
        metrics.frechet_distance(real, each.reshape(600, -1)).value
        for each in (images, without_noise)
    )
    assert found["frechet_distance"].report.value == pytest.approx(expected, rel=1e-3)
    assert abs(wrong - expected) > 0.01 * expected


def test_scores_are_means_over_the_draws_with_their_spread():
    measured = _everything()["frechet_distance"]
    values = [report.value for report in measured.reports]
    assert measured.scores == {"value": np.mean(values)}
    assert measured.stddevs == {"value": pytest.approx(np.std(values, ddof=1))}
    assert values[0] != values[1]
    assert not _everything()["reconstruction_error"].stddevs


def test_controls_belong_to_the_scores_of_disentanglement():
    found = _everything()
    for name, measured in found.measured.items():
        has_controls = measured.group == "disentanglement"
        assert (measured.rotation_control is not None) == has_controls, name
        assert (measured.bootstrap is not None) == has_controls, name
    control = found["mutual_information_gap"].rotation_control
    assert control.num_rotations == 2
    assert control.scores == found["mutual_information_gap"].scores
    assert control.rotated_means["mutual_information_gap"] < 0.5
    assert found["mutual_information_gap"].scores["mutual_information_gap"] > 0.9


def test_plain_data_holds_everything():
    found = _everything()
    fields = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert fields["settings"] == {
        "num_images": 600,
        "latent_dim": 3,
        "principal_axes": False,
        "sampler": "GaussianSampler",
        "num_draws": 2,
        "num_rotations": 2,
        "num_resamples": 2,
        "seed": 0,
    }
    lasso = fields["measured"]["dci_lasso"]
    assert lasso["scores"] == found["dci_lasso"].scores
    assert np.shape(lasso["report"]["matrix"]) == (3, 3)
    assert lasso["rotation_control"]["num_rotations"] == 2
    assert set(lasso["bootstrap"]["low"]) == set(lasso["scores"])
    assert len(fields["measured"]["frechet_distance"]["draws"]) == 2
    assert fields["skipped"] == found.skipped


def test_table_has_a_row_per_score_with_its_controls():
    found = _everything()
    rows = [line for line in found.to_markdown().splitlines() if line.startswith("| ")][1:]
    assert len(rows) == sum(len(each.scores) for each in found.measured.values())
    row = next(row for row in rows if row.startswith("| dci_lasso | informativeness "))
    measured = found["dci_lasso"]
    control, spread = measured.rotation_control, measured.bootstrap
    cells = [
        "dci_lasso",
        "informativeness",
        f"{measured.scores['informativeness']:.4g}",
        f"{control.rotated_means['informativeness']:.4g} +- "
        f"{control.rotated_stddevs['informativeness']:.2g}",
        f"{spread.low['informativeness']:.4g} to {spread.high['informativeness']:.4g}",
        "NRMSE, lower is better",
    ]
    assert row == f"| {' | '.join(cells)} |"
    drawn = next(row for row in rows if row.startswith("| kernel_distance"))
    assert " +- " in drawn.split("|")[3]
    rotated = next(row for row in rows if "| alignment |" in row)
    assert rotated.split("|")[4].strip()


def test_scalars_have_tags_of_group_measure_and_score():
    scalars = _everything().scalars()
    assert scalars["disentanglement/dci_lasso/completeness"] == pytest.approx(1, abs=0.01)
    assert scalars["generation/precision_recall/recall"] <= 1
    assert len(scalars) == sum(len(each.scores) for each in _everything().measured.values())


def test_what_is_not_known_is_left_out_and_named():
    found = evaluation.evaluate(Projection(), IMAGES, preset=QUICK)
    assert [*found.measured] == ["reconstruction_error", "orthogonality_of_variation"]
    assert found.skipped["dci_lasso"] == "the factors of the images are not known"
    assert found.skipped["frechet_distance"] == "there is no sampler of latents"
    text = found.to_markdown()
    assert text.count("the factors of the images are not known") == 1
    with pytest.raises(KeyError, match="irs.*factors of the images"):
        found["irs"]
    only_sampler = evaluation.evaluate(
        Projection(), IMAGES, sampler=SAMPLER, measures=["frechet_distance"]
    )
    assert only_sampler.skipped == {"frechet_distance": "there is no extractor of features"}


def test_variants_by_kind_need_a_factor_that_is_not_continuous():
    found = evaluation.evaluate(
        Projection(),
        IMAGES,
        factors=FACTORS,
        factor_kinds=["continuous"] * 3,
        measures=["dci_lasso", "dci_lasso_by_kind"],
    )
    assert [*found.measured] == ["dci_lasso"]
    assert found.skipped == {"dci_lasso_by_kind": "by the kinds of the factors it is the same"}


def test_measure_that_refuses_the_data_is_left_out_and_the_others_are_not():
    factors = np.random.default_rng(0).normal(size=(600, 3))
    found = evaluation.evaluate(
        Projection(),
        IMAGES,
        factors=factors,
        measures=["dci_lasso", "mutual_information_gap"],
    )
    assert [*found.measured] == ["dci_lasso"]
    assert "600 values of factor_0" in found.skipped["mutual_information_gap"]


def test_dead_latents_and_constant_factors_are_told_once_for_all_scores():
    factors = np.insert(FACTORS, 1, 5, axis=1)
    images = IMAGES.copy()
    images[:, 0, 1] = 0.5
    found = evaluation.evaluate(
        Projection(), images, factors=factors, measures=["dci_lasso", "irs"]
    )
    text = found.to_markdown()
    assert "- dead latents latent_1 (dci_lasso, irs)." in text
    assert "- constant factors, left out: factor_1 (dci_lasso, irs)." in text


def test_principal_axes_undo_a_rotation_that_the_spectrum_can_tell():
    factors = np.random.default_rng(2).normal(size=(600, 3)) * [0.2, 0.1, 0.05]
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]

    class Rotated(Projection):
        def encode(self, images):
            return super().encode(images) @ rotation.astype("float32")

        def decode(self, latents):
            return super().decode(tf.cast(latents, tf.float32) @ rotation.T.astype("float32"))

    images = np.zeros((600, 6, 6, 1), "float32")
    images[:, 0, :3, 0] = np.clip(0.5 + factors, 0, 1)
    names = ["dci_lasso", "orthogonality_of_variation", "reconstruction_error"]
    rotated, turned = (
        evaluation.evaluate(
            Rotated(), images, factors=factors, measures=names, principal_axes=principal_axes
        )
        for principal_axes in (False, True)
    )
    assert rotated["dci_lasso"].scores["disentanglement"] < 0.8
    assert turned["dci_lasso"].scores["disentanglement"] > 0.95
    # An isometry varies images orthogonally along any axes, if latents are decoded as they should.
    assert turned["orthogonality_of_variation"].scores["off_diagonal_share"] < 1e-6
    assert turned["reconstruction_error"].report == rotated["reconstruction_error"].report


def test_preset_limits_the_images_and_changes_options():
    preset = evaluation.Preset(
        100, 8, 10, ("factor_vae_score", "orthogonality_of_variation"), _QUICK
    )
    found = evaluation.evaluate(Projection(), IMAGES, factors=FACTORS, preset=preset)
    assert [*found.measured] == ["orthogonality_of_variation", "factor_vae_score"]
    assert found["factor_vae_score"].report.num_samples == {
        "all": 100,
        "train votes": 300,
        "test votes": 200,
    }
    assert found["orthogonality_of_variation"].report.num_samples == 8
    assert found.settings["num_images"] == 100


def test_fast_preset_takes_known_measures_and_options():
    fast = PRESETS["fast"]
    assert set(fast.options) <= set(fast.measures) < set(MEASURES)
    found = evaluation.evaluate(
        Projection(), IMAGES, factors=FACTORS, sampler=SAMPLER, extractor=_flat, preset="fast"
    )
    assert set(found.measured) == set(fast.measures)
    assert "of depth 10" in found["dci_random_forest"].report.predictor


def test_laplacian_distance_is_taken_of_large_images_without_an_extractor():
    class Identity:
        def encode(self, images):
            return tf.reshape(images, (len(images), -1))[:, :2]

        def decode(self, latents):
            return tf.tile(tf.reshape(latents, (-1, 2, 1, 1)), (1, 8, 16, 1))

    images = np.random.default_rng(0).random((64, 16, 16, 1))
    sampler = samplers.GaussianSampler().adapt(images.reshape(64, -1)[:, :2])
    preset = dataclasses.replace(PRESETS["full"], num_pyramid_images=32)
    found = evaluation.evaluate(
        Identity(), images, sampler=sampler, measures=[_LARGE_ONLY], preset=preset
    )
    assert found[_LARGE_ONLY].report.num_real == 32


def test_mode_of_the_extractor_is_kept_or_told():
    def extractor(images):
        return _flat(images)

    extractor.mode = metrics.INCEPTION_MODES["strkm_authors"]
    normal = samplers.StandardNormalSampler(latent_dim=3)
    found = evaluation.evaluate(
        Projection(), IMAGES, sampler=normal, extractor=extractor, measures=["frechet_distance"]
    )
    assert len(found["frechet_distance"].reports) == 10
    assert "asks for 8,000 images, and these are 600" in found.notes[0]
    assert "from one Gaussian, and this sampler is a StandardNormalSampler" in found.notes[1]
    assert all(note in found.to_markdown() for note in found.notes)


def test_progress_is_told_measure_by_measure():
    seen = []
    found = evaluation.evaluate(
        Projection(),
        IMAGES,
        factors=FACTORS,
        measures=["irs", "dci_lasso"],
        on_measured=seen.append,
    )
    assert [each.name for each in seen] == ["dci_lasso", "irs"]
    assert seen == [*found.measured.values()]
    assert all(each.cpu_seconds > 0 for each in seen)


def test_eight_bit_images_are_floats_up_to_one_for_the_model():
    images = np.round(255 * IMAGES).astype("uint8")
    found = evaluation.evaluate(Projection(), images, measures=["reconstruction_error"])
    expected = evaluation.evaluate(Projection(), images / 255, measures=["reconstruction_error"])
    value = found["reconstruction_error"].scores["squared_error"]
    assert value == pytest.approx(expected["reconstruction_error"].scores["squared_error"])


@pytest.mark.slow
def test_threads_change_no_number():
    arguments = {
        "factors": FACTORS,
        "measures": ["dci_random_forest", "sap_score"],
        "num_rotations": 2,
        "num_resamples": 2,
    }
    found = evaluation.evaluate(Projection(), IMAGES, **arguments, n_jobs=2)
    for name in arguments["measures"]:
        fields, expected = (
            {**each[name].as_dict(), "cpu_seconds": 0}
            for each in (found, evaluation.evaluate(Projection(), IMAGES, **arguments))
        )
        assert json.dumps(fields) == json.dumps(expected)


class _Broken(Projection):
    def encode(self, images):
        return super().encode(images) * np.nan


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        (Projection(), {"preset": "slow"}, "`preset` must be one of.*'slow'"),
        (Projection(), {"measures": ["dci_laso"]}, "'dci_laso'. Did you mean dci_lasso"),
        (Projection(), {"measures": ["zzz"]}, "'zzz'. There are: .*'irs'"),
        (Projection(), {"num_rotations": -1}, "num_rotations=-1"),
        (Projection(), {"num_resamples": 1}, "num_resamples=1"),
        (Projection(), {"num_draws": 0}, "num_draws=0"),
        (Projection(), {"images": IMAGES[0]}, r"`images` must be an array.*\(6, 6, 1\)"),
        (Projection(), {"images": 255 * IMAGES}, r"`images` must be floats in \[0, 1\], or uint8"),
        (Projection(), {"images": IMAGES.astype("int64")}, "`images` must be uint8, or floats"),
        (Projection(), {"factor_kinds": ["ordinal"] * 3}, "'ordinal'"),
        (Projection(), {"factor_names": ["a"]}, "`factor_names` must have a different name"),
        (Projection(), {"factors": FACTORS.astype(str)}, "`factors` must be numbers"),
        (Projection(), {"seed": -1}, "`seed` must be an int of at least 0"),
        (
            Projection(),
            {"sampler": samplers.StandardNormalSampler(latent_dim=7)},
            "3 wide. Received: a StandardNormalSampler of latent_dim=7",
        ),
        (Projection(), {"images": IMAGES[:1], "factors": None}, "must be two at least.*: 1"),
        (Projection(), {"factors": FACTORS[:9]}, "9 rows for 600 images"),
        (_Broken(), {}, r"must be finite.*shape=\(600, 3\), 1800 of them"),
    ],
)
def test_bad_arguments_are_told_before_anything_is_measured(model, changes, message):
    arguments = {"images": IMAGES, "factors": FACTORS, **changes}
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(
            model, **arguments, on_measured=lambda each: pytest.fail("something was measured")
        )


def test_factors_stay_with_their_images_when_the_preset_takes_some_only():
    preset = evaluation.Preset(100, 8, 10, ("mutual_information_gap", "dci_lasso"))
    found = evaluation.evaluate(Projection(), IMAGES, factors=FACTORS, preset=preset)
    assert found["dci_lasso"].scores["disentanglement"] > 0.9
    assert found["mutual_information_gap"].scores["mutual_information_gap"] > 0.8


def test_controls_are_taken_with_the_settings_of_the_score():
    preset = dataclasses.replace(
        QUICK, options={**_QUICK, "mutual_information_gap": {"num_bins": 2}}
    )
    found = evaluation.evaluate(
        Projection(),
        IMAGES,
        factors=FACTORS,
        preset=preset,
        measures=["mutual_information_gap"],
        num_rotations=1,
        num_resamples=2,
    )
    expected = metrics.mutual_information_gap(
        np.asarray(Projection().encode(IMAGES)), FACTORS, num_bins=2
    )
    assert found["mutual_information_gap"].scores == expected.scores
    for each in [*found.measured.values(), *_everything().measured.values()]:
        if each.group == "disentanglement":
            assert each.rotation_control.scores == each.scores, each.name
            assert each.bootstrap.scores == each.scores, each.name


def test_options_of_a_score_are_those_of_its_variant_by_kind():
    found = evaluation.evaluate(
        Projection(),
        IMAGES,
        factors=FACTORS,
        factor_kinds=["categorical", "continuous", "continuous"],
        measures=["dci_random_forest", "dci_random_forest_by_kind"],
        preset=dataclasses.replace(QUICK, options={"dci_random_forest": {"max_depth": 3}}),
    )
    for measured in found.measured.values():
        assert "of depth 3" in measured.report.predictor, measured.name


def test_circle_alone_is_a_factor_with_a_variant_by_kind():
    found = evaluation.evaluate(
        Projection(),
        IMAGES,
        factors=FACTORS,
        factor_kinds=["continuous", "continuous", ("circular", 4)],
        measures=["dci_lasso_by_kind"],
    )
    assert found["dci_lasso_by_kind"].report.factor_kinds[2] == "circular"


def test_generated_images_do_not_depend_on_the_axes():
    names = ["frechet_distance", "precision_recall"]
    as_they_are, turned = (
        evaluation.evaluate(
            Projection(),
            IMAGES,
            sampler=samplers.StandardNormalSampler(latent_dim=3),
            extractor=_flat,
            measures=names,
            principal_axes=principal_axes,
        )
        for principal_axes in (False, True)
    )
    for name in names:
        assert as_they_are[name].reports == turned[name].reports


class _Curved(Projection):
    """Its decoder is not linear, and its images are large enough for a pyramid."""

    def encode(self, images):
        return tf.cast(tf.reshape(images, (len(images), -1))[:, :3], tf.float32)

    def decode(self, latents):
        waves = tf.sin(tf.convert_to_tensor(latents) @ self._weights) / 2 + 0.5
        return tf.reshape(waves, (-1, 16, 16, 1))

    _weights = np.random.default_rng(4).normal(size=(3, 256)).astype("float32")


def test_seed_is_that_of_all_draws():
    images = np.random.default_rng(0).random((64, 16, 16, 1)).astype("float32")
    images[:, 0, :3, 0] = (FACTORS[:64] + images[:, 0, :3, 0]) / 4
    model, sampler = _Curved(), samplers.StandardNormalSampler(latent_dim=3)
    names = [
        "orthogonality_of_variation",
        "irs",
        _LARGE_ONLY,
        "kernel_distance",
        "sliced_wasserstein_distance",
    ]
    found = evaluation.evaluate(
        model,
        images,
        factors=FACTORS[:64],
        sampler=sampler,
        extractor=_flat,
        measures=names,
        preset=dataclasses.replace(PRESETS["full"], num_pyramid_images=64),
        num_rotations=2,
        num_resamples=2,
        num_draws=2,
        seed=5,
    )
    latents = np.asarray(model.encode(images))
    assert found[names[0]].report == metrics.orthogonality_of_variation(
        model.decode, latents, seed=5
    )
    given = metrics.irs, latents, FACTORS[:64]
    control = metrics.random_rotation_control(*given, num_rotations=2, seed=5)
    assert found["irs"].rotation_control.rotated_means == control.rotated_means
    interval = metrics.bootstrap_interval(*given, num_resamples=2, seed=5)
    assert found["irs"].bootstrap.low == interval.low
    drawn = [np.asarray(model.decode(sampler.sample(64, seed=seed))) for seed in (5, 6)]
    drawn = [np.round(255 * each).astype("uint8") for each in drawn]
    features = [np.float32(each.reshape(64, -1) / 255) for each in drawn]
    real = images.reshape(64, -1)
    protocol = {"protocol": "features of _flat", "seed": 5}
    for index in range(2):
        assert found[_LARGE_ONLY].reports[index].value == pytest.approx(
            metrics.laplacian_sliced_wasserstein_distance(images, drawn[index], seed=5).value,
            rel=1e-5,
        )
        assert found["kernel_distance"].reports[index].value == pytest.approx(
            metrics.kernel_distance(real, features[index], subset_size=32, **protocol).value,
            rel=1e-4,
        )
        assert found["sliced_wasserstein_distance"].reports[index].value == pytest.approx(
            metrics.sliced_wasserstein_distance(real, features[index], **protocol).value, rel=1e-4
        )


def test_pyramid_takes_as_many_generated_images_as_real_ones():
    images = np.random.default_rng(0).random((64, 16, 16, 1))
    found = evaluation.evaluate(
        _Curved(),
        images,
        sampler=samplers.StandardNormalSampler(latent_dim=3),
        measures=[_LARGE_ONLY],
        preset=dataclasses.replace(PRESETS["full"], num_pyramid_images=32),
    )
    assert found[_LARGE_ONLY].report.num_generated == found[_LARGE_ONLY].report.num_real == 32


def test_mode_that_is_kept_needs_no_note():
    def extractor(images):
        return _flat(images)

    mode = metrics.INCEPTION_MODES["strkm_authors"]
    extractor.mode = dataclasses.replace(mode, num_samples=600, num_draws=2)
    given = {"extractor": extractor, "measures": ["reconstruction_error", "frechet_distance"]}
    found = evaluation.evaluate(Projection(), IMAGES, sampler=SAMPLER, **given)
    assert found.notes == ()
    assert found.settings["num_draws"] == 2
    without_sampler = evaluation.evaluate(Projection(), IMAGES[:9], **given)
    assert [*without_sampler.measured] == ["reconstruction_error"]
    assert without_sampler.notes == ()


def test_plain_data_holds_the_first_report_and_the_table_its_protocol():
    measured = _everything()["frechet_distance"]
    assert measured.as_dict()["report"]["value"] == measured.reports[0].value
    assert "features of _flat." in _everything().to_markdown()


def test_number_that_is_not_defined_is_no_score():
    images = np.full((8, 6, 6, 1), 0.5, "float32")
    found = evaluation.evaluate(Projection(), images, measures=["reconstruction_error"])
    scores = found["reconstruction_error"].scores
    assert set(scores) == {"squared_error", "mean_squared_error"}
    assert "unexplained_variance" not in found.to_markdown()
    json.dumps(found.as_dict(), allow_nan=False)


def test_kinds_are_told_to_all_scores_but_those_of_the_literal_definition():
    all_alike = {
        "dci_lasso": "continuous",
        "dci_random_forest": "continuous",
        "dci_gradient_boosting": "categorical",
        "sap_score": "categorical",
    }
    for measured in _everything().measured.values():
        if measured.group == "disentanglement":
            kind = all_alike.get(measured.name)
            expected = (kind,) * 3 if kind else ("categorical", "continuous", "circular")
            assert measured.report.factor_kinds == expected, measured.name


def test_images_in_the_order_of_their_factors_are_chosen_at_random():
    order = np.lexsort(FACTORS.T)
    preset = evaluation.Preset(100, 50, 10, ("mutual_information_gap", "dci_lasso"))
    found = evaluation.evaluate(
        Projection(), IMAGES[order], factors=FACTORS[order], preset=preset, seed=1
    )
    assert not found["dci_lasso"].report.constant_factors
    rows = np.random.default_rng(1).permutation(600)[:100]
    latents = np.asarray(Projection().encode(IMAGES[order][rows]))
    expected = metrics.mutual_information_gap(latents, FACTORS[order][rows])
    assert found["mutual_information_gap"].report.scores == expected.scores


def test_codes_are_chosen_at_random():
    class Bent(Projection):
        def decode(self, latents):
            return super().decode(tf.square(latents))

    latents = np.asarray(Projection().encode(IMAGES))
    rows = np.random.default_rng(2).permutation(600)[:20]
    expected = metrics.orthogonality_of_variation(Bent().decode, latents[rows], seed=2)
    preset = evaluation.Preset(600, 20, 10, ("orthogonality_of_variation",))
    found = evaluation.evaluate(Bent(), IMAGES, preset=preset, seed=2)
    assert found["orthogonality_of_variation"].report == expected


def test_sap_by_kind_is_another_score_even_if_all_factors_are_continuous():
    factors = FACTORS + np.random.default_rng(0).normal(size=FACTORS.shape)
    found = evaluation.evaluate(
        Projection(),
        IMAGES,
        factors=factors,
        factor_kinds=["continuous"] * 3,
        measures=["sap_score", "sap_score_by_kind", "dci_lasso_by_kind"],
    )
    assert [*found.measured] == ["sap_score_by_kind"]
    assert found["sap_score_by_kind"].scores["sap_score"] > 0.3


def test_control_that_cannot_be_taken_leaves_the_score(monkeypatch):
    def refuse(*_, **__):
        raise ValueError("too few rows in a half.")

    monkeypatch.setattr(metrics, "bootstrap_interval", refuse)
    found = evaluation.evaluate(
        Projection(), IMAGES, factors=FACTORS, measures=["irs"], num_rotations=1, num_resamples=2
    )
    assert found["irs"].bootstrap is None
    assert found["irs"].rotation_control is not None
    assert found["irs"].as_dict()["notes"] == ["no bootstrap: too few rows in a half"]
    assert "- no bootstrap: too few rows in a half (irs)." in found.to_markdown()


def test_measure_without_room_is_left_out(monkeypatch):
    def exhaust(*_, **__):
        raise MemoryError

    monkeypatch.setattr(metrics, "reconstruction_error", exhaust)
    found = evaluation.evaluate(
        Projection(), IMAGES, measures=["reconstruction_error", "orthogonality_of_variation"]
    )
    assert found.skipped == {"reconstruction_error": "MemoryError"}
    assert [*found.measured] == ["orthogonality_of_variation"]


def test_there_are_as_many_principal_axes_as_latents_even_of_few_images():
    model = Projection(slice(0, 7))
    model.decode = lambda latents: tf.reshape(
        tf.pad(tf.convert_to_tensor(latents), [[0, 0], [0, 29]]), (-1, 6, 6, 1)
    )
    found = evaluation.evaluate(
        model, IMAGES[:5], principal_axes=True, measures=["orthogonality_of_variation"]
    )
    assert found.settings["latent_dim"] == 7
    assert found["orthogonality_of_variation"].scores["off_diagonal_share"] < 1e-6


def test_images_must_be_those_of_the_model():
    model = Projection()
    model.image_shape = (8, 8, 1)
    with pytest.raises(ValueError, match=r"\(num_images, 8, 8, 1\).*\(600, 6, 6, 1\)"):
        evaluation.evaluate(model, IMAGES)
