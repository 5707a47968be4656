import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm import samplers

_ROOT = Path(__file__).resolve().parents[2]


def _assert_same_draws(one, other):
    np.testing.assert_array_equal(one.sample(20, seed=3), other.sample(20, seed=3))


def test_keras_file_gives_the_same_samples(sampler, latents, tmp_path):
    sampler.save(tmp_path / "sampler.keras")
    loaded = samplers.load_sampler(tmp_path / "sampler.keras")
    assert type(loaded) is type(sampler) and loaded.get_config() == sampler.get_config()
    _assert_same_draws(loaded, sampler)
    np.testing.assert_array_equal(loaded.log_prob(latents), sampler.log_prob(latents))


def test_config_and_weights_give_the_same_samples(sampler):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(sampler)))
    copy = keras.saving.deserialize_keras_object(config)
    copy.set_weights(sampler.get_weights())
    _assert_same_draws(copy, sampler)


def test_config_adapted_again_gives_the_same_samples(sampler, latents):
    _assert_same_draws(type(sampler).from_config(sampler.get_config()).adapt(latents), sampler)


@keras.saving.register_keras_serializable(package="tests")
class _Generator(keras.Model):
    def __init__(self, sampler, **kwargs):
        super().__init__(**kwargs)
        self.sampler = sampler

    def call(self, inputs):
        return inputs

    def get_config(self):
        return {"sampler": keras.saving.serialize_keras_object(self.sampler)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["sampler"]))


def test_model_saves_the_sampler_it_holds(sampler, tmp_path):
    model = _Generator(sampler)
    model(np.zeros((1, 1)))
    model.save(tmp_path / "model.keras")
    _assert_same_draws(keras.models.load_model(tmp_path / "model.keras").sampler, sampler)


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "float64"])
def test_parameters_are_float32_under_any_policy(sampler, make_sampler, latents, policy):
    keras.config.set_dtype_policy(policy)
    other = make_sampler().adapt(latents)
    assert {weight.dtype for weight in other.weights} <= {"float32"}
    _assert_same_draws(other, sampler)


def test_a_layer_of_mixed_precision_draws_the_same(sampler):
    # In its `call` a variable is cast to float16 unless it says otherwise.
    class Draws(keras.layers.Layer):
        def call(self, seeds):
            return sampler.sample_from_seeds(seeds)

    seeds = np.arange(5)
    drawn = Draws(dtype="mixed_float16")(seeds)
    np.testing.assert_array_equal(drawn, sampler.sample_from_seeds(seeds))


def test_parameters_are_not_trained(sampler):
    assert not sampler.trainable_weights


def test_adapt_streams_a_dataset_of_images_through_a_model(make_sampler, latents):
    # An encoder that is exact, so that the parameters must be those of the latents.
    images = latents.astype("float32").reshape(-1, 2, 2, 1)
    encoder = keras.Sequential([keras.layers.Flatten()])
    dataset = tf.data.Dataset.from_tensor_slices((images, np.zeros(len(images)))).batch(100)
    streamed = make_sampler().adapt(dataset, transform=encoder)
    whole = make_sampler().adapt(latents.astype("float32"))
    assert streamed.latent_dim == 4
    for one, other in zip(streamed.weights, whole.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_second_fit_replaces_the_first(sampler, make_sampler, latents):
    other = latents[:300] * 2 + 1
    assert sampler.adapt(other) is sampler
    _assert_same_draws(sampler, make_sampler().adapt(other))


def test_second_fit_cannot_change_the_latent_dim(sampler, latents):
    before = sampler.sample(3, seed=0).numpy()
    with pytest.raises(ValueError, match=r"Received: .*3.*4.*Make a new sampler"):
        sampler.adapt(latents[:, :3])
    np.testing.assert_array_equal(sampler.sample(3, seed=0), before)


@pytest.mark.parametrize(
    "use",
    [
        lambda sampler: sampler.sample(2, seed=0),
        lambda sampler: sampler.sample_from_seeds([1]),
        lambda sampler: sampler.log_prob(np.zeros((2, 4))),
        lambda sampler: sampler.distribution,
        lambda sampler: sampler.latent_dim,
        lambda sampler: sampler.save("never.keras"),
    ],
)
def test_use_before_adapt_is_refused(make_sampler, use):
    with pytest.raises(ValueError, match=r"before it is adapted.*'early'.*adapt\(latents\)"):
        use(make_sampler(name="early"))


@pytest.mark.parametrize("shape", [(4,), (3, 5), (1, 3, 4)])
def test_log_prob_checks_the_shape(sampler, shape):
    with pytest.raises(ValueError, match=rf"shape={re.escape(str(shape))}, latent_dim=4"):
        sampler.log_prob(np.zeros(shape))


def test_log_prob_is_that_of_the_distribution_in_a_graph_too(sampler, latents):
    log_prob = tf.function(sampler.log_prob, input_signature=[tf.TensorSpec([None, 4])])
    expected = sampler.distribution.log_prob(latents.astype("float32"))
    np.testing.assert_allclose(log_prob(latents.astype("float32")), expected, rtol=1e-5)
    np.testing.assert_array_equal(sampler.log_prob(latents), expected)


def test_load_refuses_what_is_no_sampler(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"Received: filepath=.*model.keras.*a Sequential"):
        samplers.load_sampler(tmp_path / "model.keras")


def test_import_loads_neither_probability_nor_scikit_learn():
    # Keras imports scikit-learn by itself where it is installed.
    code = """
import sys
import keras
before = set(sys.modules)
import keras_rkm.samplers
slow = ("tensorflow_probability", "tf_keras", "sklearn")
print(sorted(name for name in set(sys.modules) - before if name.split(".")[0] in slow))
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout.strip() == "[]", result.stderr


def test_moments_of_the_latents_are_those_of_many_draws(sampler):
    drawn = sampler.sample(50_000, seed=0).numpy().astype("float64")
    deviations = drawn.std(axis=0)
    assert sampler.latent_stddev.dtype == sampler.latent_mean.dtype == tf.float32
    np.testing.assert_allclose(sampler.latent_stddev, deviations, rtol=0.02)
    assert np.all(np.abs(sampler.latent_mean - drawn.mean(axis=0)) < 0.02 * deviations)


def test_moments_are_not_known_before_adapt():
    with pytest.raises(ValueError, match="before it is adapted"):
        _ = samplers.GaussianSampler().latent_stddev
