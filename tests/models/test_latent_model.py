"""What every model that StiefelRKM is compared with promises, whatever its objective."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_rkm
from keras_rkm import networks
from keras_rkm.models import AutoEncoder, FactorVAE, InfoGAN, VariationalAutoencoder
from keras_rkm.samplers import GaussianSampler, StandardNormalSampler
from tests.models.baselines import (
    ARGUMENTS,
    FEATURE_DIM,
    IMAGE_SHAPE,
    LATENT_DIM,
    MODELS,
    assert_equal_variables,
    images,
    make,
    patterns,
)

every_model = pytest.mark.parametrize("model_class", MODELS)


@every_model
def test_a_saved_model_has_the_same_outputs_and_takes_the_same_next_step(model_class, tmp_path):
    model = make(model_class)
    model.train_on_batch(images())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is model_class
    # Keras writes networks that were loaded a little differently; their weights are compared below.
    configs = [
        {k: v for k, v in each.get_config().items() if k not in ("encoder", "decoder")}
        for each in (loaded, model)
    ]
    assert configs[0] == configs[1]
    assert ARGUMENTS[model_class].items() <= configs[1].items()
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert_equal_variables(loaded.variables, model.variables)
    np.testing.assert_array_equal(loaded.reconstruct(images(5)), model.reconstruct(images(5)))
    for each in (model, loaded):
        each.train_on_batch(images(seed=1))
    assert_equal_variables(loaded.variables, model.variables)
    assert_equal_variables(loaded.optimizer.variables, model.optimizer.variables)


@pytest.mark.parametrize("model_class", [FactorVAE, InfoGAN])
def test_training_that_was_interrupted_goes_on_as_if_it_had_not_been(model_class, tmp_path):
    straight, interrupted, resumed = (make(model_class) for _ in range(3))
    arguments = {"batch_size": 16, "shuffle": False, "verbose": 0}
    straight.fit(images(), epochs=2, **arguments)

    def stop(epoch, logs):
        raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)

    stopping = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(images(), epochs=2, callbacks=[backup(), stopping], **arguments)
    resumed.fit(images(), epochs=2, callbacks=[backup()], **arguments)
    assert_equal_variables(resumed.variables, straight.variables)
    assert_equal_variables(resumed.optimizer.variables, straight.optimizer.variables)


@every_model
def test_the_same_seed_gives_the_same_training_and_another_one_does_not(model_class):
    results = []
    for run, seed in enumerate((3, 3, 4)):
        keras.utils.set_random_seed(run)  # not what decides
        model = make(model_class, seed=seed, compiled=False)
        model.compile(run_eagerly=True)
        model.train_on_batch(images())
        results.append(np.concatenate([weight.ravel() for weight in model.get_weights()]))
    np.testing.assert_array_equal(results[0], results[1])
    assert np.any(results[0] != results[2])


@every_model
def test_layers_between_the_networks_start_with_seeds_of_their_own(model_class):
    model = make(model_class, latent_dim=FEATURE_DIM)  # so that shapes are alike
    kernels = [
        v.numpy()
        for v in model.trainable_variables
        if v.name == "kernel" and v.shape == (FEATURE_DIM, FEATURE_DIM)
    ]
    distinct = {kernel.tobytes() for kernel in kernels}
    assert kernels and len(distinct) == len(kernels)


@pytest.mark.parametrize("model_class", [m for m in MODELS if m is not InfoGAN])
def test_fit_lowers_the_loss_until_reconstructions_show_the_factors(model_class):
    model, data = make(model_class, hidden_dims=(32,), compiled=False), patterns()
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(data, batch_size=64, epochs=20, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] - 3
    errors = np.sum((model.reconstruct(data) - data) ** 2)
    assert errors < 0.3 * np.sum((data.mean(axis=0) - data) ** 2)


@every_model
def test_encode_decode_and_reconstruct_agree(model_class):
    model, batch = make(model_class, compiled=False), images(8)
    model.compile(run_eagerly=True)
    model.train_on_batch(batch)  # away from biases of zero
    latents = model.encode(batch)
    assert latents.shape == (8, LATENT_DIM) and latents.dtype == tf.float32
    assert model.image_shape == IMAGE_SHAPE
    np.testing.assert_allclose(model.decode(latents), model.reconstruct(batch), atol=1e-6)
    np.testing.assert_allclose(model.predict(batch, verbose=0), model.reconstruct(batch), atol=1e-6)


@every_model
def test_generate_draws_as_many_images_and_the_same_for_a_seed(model_class):
    model, sampler = make(model_class, compiled=False), StandardNormalSampler(latent_dim=LATENT_DIM)
    first, second, other = (model.generate(5, sampler, seed=seed) for seed in (7, 7, 8))
    assert first.shape == (5, *IMAGE_SHAPE)
    np.testing.assert_array_equal(first, second)
    assert np.any(first != other)
    assert np.any(model.generate(5, sampler) != model.generate(5, sampler))


@every_model
def test_a_run_folder_is_loaded_and_evaluated(model_class, tmp_path):
    model, data = make(model_class, compiled=False), images(64)
    model.save(tmp_path / "model.keras")
    GaussianSampler().adapt(model.encode(data)).save(tmp_path / "sampler.keras")
    loaded, sampler = keras_rkm.load(tmp_path)
    measures = ["reconstruction_error", "orthogonality_of_variation", "mutual_information_gap"]
    found = keras_rkm.evaluation.evaluate(
        loaded,
        data,
        factors=np.random.default_rng(0).integers(0, 3, (64, 2)),
        sampler=sampler,
        preset="fast",
        measures=measures,
    )
    assert set(found.measured) == set(measures)
    errors = np.sum((model.reconstruct(data).numpy() - data) ** 2, axis=(1, 2, 3))
    report = found.measured["reconstruction_error"].report
    assert report.squared_error == pytest.approx(errors.mean(), rel=1e-3)


_POLICIES = [
    ("mixed_bfloat16", AutoEncoder),
    ("mixed_bfloat16", InfoGAN),
    ("mixed_float16", VariationalAutoencoder),
    ("mixed_float16", FactorVAE),
]


@pytest.mark.parametrize(("policy", "model_class"), _POLICIES)
def test_mixed_precision_trains_with_latents_and_losses_in_float32(policy, model_class):
    keras.config.set_dtype_policy(policy)
    model = make(model_class, hidden_dims=(8,))
    scales_loss = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scales_loss == (policy == "mixed_float16")
    before = model.get_weights()
    # The scale of the loss has to come down first.
    history = model.fit(images(), batch_size=4, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert any(np.any(a != b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.encode(images(2)).dtype == model.reconstruct(images(2)).dtype == tf.float32


@every_model
def test_a_float64_model_stays_one_whatever_the_policy_is_when_it_is_loaded(model_class, tmp_path):
    keras.config.set_dtype_policy("float64")
    model = make(model_class, compiled=False)
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.encode(images(3)).dtype == tf.float64
    np.testing.assert_array_equal(loaded.encode(images(3)), model.encode(images(3)))


def _dataset(array):
    return tf.data.Dataset.from_tensor_slices((array, np.zeros(len(array)))).batch(16)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_class", "arguments"),
    [
        (FactorVAE, {"run_eagerly": True}),
        (FactorVAE, {"steps_per_execution": 2}),
        (AutoEncoder, {"jit_compile": True}),  # XLA draws other noise for the same seed
    ],
)
def test_every_way_of_execution_trains_alike(model_class, arguments):
    results = []
    for each in ({}, arguments):
        model = make(model_class, compiled=False)
        model.compile(**each)
        model.fit(images(), batch_size=16, verbose=0, shuffle=False)
        results.append(np.concatenate([weight.ravel() for weight in model.get_weights()]))
    np.testing.assert_allclose(*results, atol=1e-5)


def test_an_objective_with_noise_compiles_to_xla():
    model = make(FactorVAE, compiled=False)
    model.compile(jit_compile=True)
    logs = model.train_on_batch(images(), return_dict=True)
    assert np.isfinite(list(logs.values())).all()


def test_logs_of_a_dataset_with_labels_are_weighed_by_its_images():
    model = make(AutoEncoder)
    data = images(20)
    errors = [model.evaluate(part, verbose=0) for part in (data[:16], data[16:])]
    whole = model.evaluate(_dataset(data), verbose=0, return_dict=True)["loss"]
    assert whole == pytest.approx((16 * errors[0][0] + 4 * errors[1][0]) / 20, rel=1e-6)


def test_a_batch_with_nan_stops_training_before_it_changes_a_weight():
    model, reference = make(FactorVAE), make(FactorVAE)
    data = images(48)
    data[40] = np.nan  # the third batch of 16
    reference.fit(_dataset(data).take(2), verbose=0, shuffle=False)
    with pytest.raises(ValueError, match="NaN or Inf, in a batch after training step 2"):
        model.fit(_dataset(data), verbose=0, shuffle=False)
    assert_equal_variables(model.trainable_variables, reference.trainable_variables)
    assert_equal_variables(model.optimizer.variables, reference.optimizer.variables)


def test_xla_has_no_checks_in_the_graph_and_still_does_not_go_on_with_nan():
    model = make(AutoEncoder, compiled=False)
    model.compile(jit_compile=True)
    data = images(48)
    data[40] = np.nan
    with pytest.raises(FloatingPointError, match="is nan in batch 2"):
        model.fit(_dataset(data), verbose=0, shuffle=False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (images(8).astype("uint8"), "dtype=uint8"),
        (images(8)[..., 0], r"shape=\(8, 4, 4\)"),
        (np.full_like(images(8), np.nan), "8 of 8 images with NaN"),
        (images(8) * 255, r"lie in \[0, 1\]"),
        (None, "x=None"),
    ],
)
def test_images_that_cannot_work_are_refused(data, message):
    model = make(AutoEncoder)
    with pytest.raises(ValueError, match=message):
        model.fit(data, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.evaluate(data, verbose=0)
    if data is not None:
        with pytest.raises(ValueError, match=message):
            model.fit(images(), validation_data=(data, np.zeros(8)), verbose=0)


def test_images_outside_the_unit_range_are_for_the_squared_error():
    model = make(AutoEncoder, reconstruction_loss="mean_squared_error")
    assert np.isfinite(model.fit(images(8) * 255, verbose=0).history["loss"]).all()


def test_a_batch_of_one_image_is_enough():
    assert np.isfinite(make(AutoEncoder).fit(images(1), verbose=0).history["loss"]).all()


def test_a_dataset_that_turns_out_empty_is_refused():
    dataset = _dataset(images()).filter(lambda images, labels: False)
    with pytest.raises(ValueError, match="no batch|any data"):
        make(AutoEncoder).fit(dataset, verbose=0, shuffle=False)


def test_sample_weights_are_refused():
    with pytest.raises(ValueError, match="AutoEncoder weighs all images alike.*sample_weight"):
        make(AutoEncoder).fit(images(), np.zeros(32), sample_weight=np.ones(32), verbose=0)
    weighted = tf.data.Dataset.from_tensors((images(4), np.zeros(4), np.ones(4)))
    with pytest.raises(ValueError, match="AutoEncoder weighs all images alike.*with weights"):
        make(AutoEncoder).fit(weighted, verbose=0, shuffle=False)


@pytest.mark.parametrize("model_class", [AutoEncoder, FactorVAE])
def test_a_second_loss_is_refused(model_class):
    with pytest.raises(ValueError, match=f"{model_class.__name__} has its own objective"):
        make(model_class, compiled=False).compile(loss="mse")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent_dim": 0}, "latent_dim=0"),
        ({"latent_dim": 2.5}, "latent_dim=2.5"),
        ({"reconstruction_loss": "mse"}, "reconstruction_loss='mse'"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(AutoEncoder, **arguments)


@every_model
def test_networks_that_do_not_fit_are_refused(model_class):
    encoder = networks.dense_encoder(IMAGE_SHAPE, 6, hidden_dims=())
    decoder = networks.dense_decoder(5, IMAGE_SHAPE, hidden_dims=())
    with pytest.raises(ValueError, match=r"encoder \(None, 4, 4, 1\) -> \(None, 6\)"):
        model_class(encoder, decoder, 2)


def test_latents_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"shape \(batch, 3\)\. Received: shape=\(2, 4\)"):
        make(AutoEncoder).decode(np.zeros((2, 4)))


def test_learning_rates_of_both_optimizers_are_scheduled():
    model = make(FactorVAE)
    callback = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    model.fit(images(), verbose=0, callbacks=[callback])
    rates = [float(inner.learning_rate) for inner in model.optimizer.optimizers]
    assert rates == pytest.approx([5e-5, 5e-4])
