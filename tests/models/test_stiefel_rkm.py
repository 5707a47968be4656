"""StiefelRKM: its objective against the oracle, its steps, and Keras' own promises."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm import _replicas, checkpoints, networks
from keras_rkm._decoder_gram import decoder_grams
from keras_rkm.manifolds import stiefel
from keras_rkm.models import StiefelRKM, stiefel_rkm
from keras_rkm.optimizers import CayleyAdam, ConstraintRouter
from tests.oracles import rkm as oracle
from tests.oracles import rotations as rotations_oracle

IMAGE_SHAPE = (4, 4, 1)
FEATURE_DIM = 6


def _images(num_images=32, seed=0):
    return np.random.default_rng(seed).random((num_images, *IMAGE_SHAPE), "float32")


def _model(compiled=True, latent_dim=3, hidden_dims=(), optimizer=None, **arguments):
    keras.utils.set_random_seed(1)
    model = StiefelRKM(
        networks.dense_encoder(IMAGE_SHAPE, FEATURE_DIM, hidden_dims=hidden_dims),
        networks.dense_decoder(FEATURE_DIM, IMAGE_SHAPE, hidden_dims=hidden_dims),
        latent_dim,
        **{"seed": 0, **arguments},
    )
    if compiled:
        model.compile(optimizer or "adam")
    return model


def _weights(model):
    networks_ = (model.encoder, model.decoder)
    return [[w.astype("float64") for w in network.get_weights()] for network in networks_]


def _expected(model, images, **arguments):
    settings = {
        "loss": model.reconstruction_loss,
        "centering": model.decoder_centering,
        "weight": model.reconstruction_weight,
        "mean_penalty": model.mean_penalty,
    }
    values = oracle.objective(
        images.astype("float64"), *_weights(model), model.basis.numpy().astype("float64"),
        **{**settings, **arguments},
    )  # fmt: skip
    return dict(zip(("loss", "reconstruction_loss", "pca_loss"), values, strict=True))


def _logs(result, names=("loss", "reconstruction_loss", "pca_loss")):
    return {name: result[name] for name in names}


COMBINATIONS = list(
    itertools.product(
        ("binary_crossentropy", "mean_squared_error"),
        ("none", "batch"),
        ("deterministic", "noisy", "split"),
    )
)


@pytest.mark.parametrize(("loss", "centering", "mode"), COMBINATIONS)
def test_the_training_loss_equals_the_oracle(loss, centering, mode):
    model = _model(
        reconstruction_loss=loss, decoder_centering=centering, reconstruction_mode=mode,
        noise_stddev=0.3, reconstruction_weight=0.7, mean_penalty=0.4,
    )  # fmt: skip
    images = _images()
    noise = tf.random.stateless_normal((32, 3), [0, 0]).numpy() * 0.3
    expected = _expected(model, images, mode=mode, noise=noise.astype("float64"))
    logs = model.train_on_batch(images, return_dict=True)
    assert _logs(logs) == pytest.approx(expected, rel=1e-5)
    assert logs["orthonormality_error"] < 1e-6


@pytest.mark.parametrize(("loss", "centering", "mode"), COMBINATIONS)
def test_evaluation_uses_the_tracked_mean_and_no_noise(loss, centering, mode):
    model = _model(
        reconstruction_loss=loss, decoder_centering=centering, reconstruction_mode=mode,
        noise_stddev=0.3,
    )  # fmt: skip
    mean = np.linspace(-1, 1, FEATURE_DIM)
    model.centering.set_mean(mean)
    images = _images(50)
    logs = model.evaluate(images, batch_size=16, verbose=0, return_dict=True)  # 16, 16, 16, 2
    assert _logs(logs) == pytest.approx(_expected(model, images, mean=mean), rel=1e-5)


def test_energy_is_the_objective_of_each_image():
    model = _model(reconstruction_weight=0.7, mean_penalty=0.0)
    images = _images(5)
    energies = model.energy(images).numpy()
    assert energies.shape == (5,)
    for image, energy in zip(images, energies, strict=True):
        expected = _expected(model, image[np.newaxis], mean=np.zeros(FEATURE_DIM))
        assert energy == pytest.approx(expected["loss"], rel=1e-5)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mean_squared_error"])
def test_terms_of_the_energy_are_its_parts_and_the_least_that_a_reconstruction_can_cost(loss):
    model = _model(reconstruction_loss=loss, reconstruction_weight=0.7, mean_penalty=0.4)
    mean = np.linspace(-1, 1, FEATURE_DIM)
    model.centering.set_mean(mean)
    images = _images(5)
    terms = model.energy_terms(images)
    expected = [_expected(model, image[np.newaxis], mean=mean) for image in images]
    for part, name in ((terms.reconstruction, "reconstruction_loss"), (terms.pca, "pca_loss")):
        np.testing.assert_allclose(part, [values[name] for values in expected], rtol=1e-5)
    np.testing.assert_allclose(
        model.energy(images), 0.7 * terms.reconstruction + terms.pca, rtol=1e-6
    )
    x = images.astype("float64").reshape(5, -1)
    entropy = -(x * np.log(x) + (1 - x) * np.log(1 - x)).sum(axis=1)
    floor = entropy if loss == "binary_crossentropy" else np.zeros(5)
    np.testing.assert_allclose(terms.floor, floor, rtol=1e-5)
    assert np.all(terms.reconstruction > terms.floor)


def test_floor_of_a_binary_image_is_zero():
    images = np.random.default_rng(0).integers(0, 2, (5, *IMAGE_SHAPE)).astype("float32")
    np.testing.assert_allclose(_model().energy_terms(images).floor, 0, atol=1e-5)


def test_the_mean_is_tracked_as_a_plain_average_at_first():
    model = _model(optimizer=keras.optimizers.SGD(0.0))
    images = _images(64)
    model.fit(images, batch_size=16, shuffle=False, verbose=0)
    features = oracle.features(images, _weights(model)[0])
    np.testing.assert_allclose(model.feature_mean.numpy(), features.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("centering", ["none", "batch"])
def test_encode_decode_and_reconstruct_agree(centering):
    model = _model(decoder_centering=centering)
    model.centering.set_mean(np.linspace(-1, 1, FEATURE_DIM))
    images = _images(8)
    latents = model.encode(images)
    assert latents.shape == (8, 3)
    np.testing.assert_allclose(model.decode(latents), model.reconstruct(images), atol=1e-6)
    np.testing.assert_allclose(
        model.predict(images, verbose=0), model.reconstruct(images), atol=1e-6
    )
    phi = oracle.features(images.astype("float64"), _weights(model)[0])
    basis = model.basis.numpy().astype("float64")
    np.testing.assert_allclose(latents, (phi - np.linspace(-1, 1, FEATURE_DIM)) @ basis, atol=1e-5)


def test_a_simultaneous_step_is_one_gradient_for_both_optimizers():
    model = _model(optimizer=keras.optimizers.SGD(0.1))
    reference = _model(optimizer=keras.optimizers.SGD(0.1))
    images = tf.constant(_images())
    variables = reference.trainable_variables
    with tf.GradientTape() as tape:
        loss = reference._objective(
            images, *reference._features(images, True), _replicas.Share.of(images)
        )[0]
    gradients = dict(zip((v.path for v in variables), tape.gradient(loss, variables), strict=True))
    CayleyAdam().apply([gradients[reference.basis.path]], [reference.basis])
    for variable in variables:
        if variable is not reference.basis:
            variable.assign_sub(0.1 * gradients[variable.path])
    model.train_on_batch(images)
    _assert_equal_weights(model, reference, atol=1e-6)


def test_an_alternating_step_moves_the_basis_first_and_the_networks_by_a_fresh_gradient():
    model = _model(optimizer=keras.optimizers.SGD(0.1), update="alternating")
    reference = _model(optimizer=keras.optimizers.SGD(0.1))
    images = tf.constant(_images())

    def gradient(variables):
        with tf.GradientTape() as tape:
            features = reference._features(images, False)[0]
            mean = tf.reduce_mean(features, axis=0)
            loss = reference._objective(images, features, mean, _replicas.Share.of(images))[0]
        return tape.gradient(loss, variables)

    CayleyAdam().apply(gradient([reference.basis]), [reference.basis])
    others = [v for v in reference.trainable_variables if v is not reference.basis]
    for variable, value in zip(others, gradient(others), strict=True):
        variable.assign_sub(0.1 * value)
    reference.centering(reference.encoder(images), training=True)
    model.train_on_batch(images)
    assert int(model.optimizer.iterations) == 1
    # The mean was taken before the step in one and after it in the other: compare what is trained.
    _assert_equal_weights(model, reference, atol=1e-6, trainable_only=True)


def _assert_equal_weights(model, reference, atol=0.0, trainable_only=False):
    pairs = (
        (model.trainable_variables, reference.trainable_variables)
        if trainable_only
        else (model.variables, reference.variables)
    )
    for ours, expected in zip(*pairs, strict=True):
        np.testing.assert_allclose(
            ours.numpy(), expected.numpy(), atol=atol, rtol=0, err_msg=ours.path
        )


def _identity(dim):
    return keras.Sequential([keras.Input((dim,)), keras.layers.Identity()])


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_it_recovers_pca(update):
    generator = np.random.default_rng(0)
    dim, latent_dim = 20, 4
    spectrum = 2.0 ** -np.arange(dim)
    directions = np.linalg.qr(generator.standard_normal((dim, dim)))[0]
    samples = (generator.standard_normal((512, dim)) * np.sqrt(spectrum)) @ directions + 3.0
    covariance = np.cov(samples.T, bias=True)
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)

    model = StiefelRKM(
        _identity(dim), _identity(dim), latent_dim, reconstruction_weight=0.0, mean_penalty=0.0,
        reconstruction_loss="mean_squared_error", update=update, seed=0,
    )  # fmt: skip
    model.compile(steps_per_execution=50)
    data = tf.data.Dataset.from_tensors(samples.astype("float32")).repeat(2000)
    model.fit(data, verbose=0, shuffle=False)
    logs = model.evaluate(data.take(50), verbose=0, return_dict=True)
    assert logs["pca_loss"] == pytest.approx(eigenvalues[:-latent_dim].sum(), rel=1e-3)
    axes = model.fit_principal_axes(data.take(1))
    assert axes.principal_angles.max() < 1e-2
    leading = eigenvectors[:, ::-1][:, :latent_dim]
    cosines = np.abs(np.sum(model.basis.numpy() * leading, axis=0))
    assert np.arccos(np.minimum(cosines, 1)).max() < 1e-2
    np.testing.assert_allclose(axes.explained_variance, eigenvalues[::-1][:latent_dim], rtol=1e-3)


def _trained(**arguments):
    model = _model(hidden_dims=(16,), **arguments)
    model.fit(_images(256), batch_size=32, epochs=3, verbose=0)
    return model


@pytest.mark.parametrize("centering", ["none", "batch"])
def test_rotation_keeps_reconstructions_and_decorrelates_the_latents(centering):
    model = _trained(decoder_centering=centering)
    images = _images(256)
    model.fit_principal_axes(images)  # the exact mean
    skewed = model.basis.numpy() @ np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    model.basis.assign(skewed)
    before = model.reconstruct(images).numpy()
    axes = model.fit_principal_axes(images, batch_size=100)
    np.testing.assert_allclose(model.reconstruct(images).numpy(), before, atol=1e-5)
    latents = model.encode(images).numpy().astype("float64")
    np.testing.assert_allclose(latents.mean(axis=0), 0, atol=1e-5)
    covariance = latents.T @ latents / len(latents)
    np.testing.assert_allclose(covariance, np.diag(axes.explained_variance), atol=1e-5)
    assert np.all(np.diff(axes.explained_variance) <= 0)
    np.testing.assert_allclose(model.explained_variance.numpy(), axes.explained_variance, rtol=1e-6)
    features = model.encoder(images).numpy()
    shares = axes.explained_variance / features.var(axis=0).sum()
    np.testing.assert_allclose(model.explained_variance_ratio.numpy(), shares, rtol=1e-4)
    assert float(stiefel.orthonormality_error(model.basis)) < 1e-6


ROTATIONS = ("rotate", "ica", "joint_diagonalization")


@pytest.mark.parametrize("centering", ["none", "batch"])
@pytest.mark.parametrize("method", ROTATIONS)
def test_every_rotation_stays_in_the_span_and_keeps_reconstructions(method, centering):
    model = _trained(decoder_centering=centering)
    images = _images(256)
    model.fit_principal_axes(images)  # the exact mean
    old_basis, before = model.basis.numpy(), model.reconstruct(images).numpy()
    axes = model.fit_principal_axes(images, method)
    assert axes.method == method
    assert axes.notes == ()
    np.testing.assert_allclose(model.reconstruct(images).numpy(), before, atol=1e-5)
    np.testing.assert_allclose(old_basis @ axes.rotation, model.basis.numpy(), atol=1e-6)
    np.testing.assert_allclose(axes.rotation.T @ axes.rotation, np.eye(3), atol=1e-6)
    assert float(stiefel.orthonormality_error(model.basis)) < 1e-6
    variances = model.encode(images).numpy().var(axis=0)
    np.testing.assert_allclose(axes.explained_variance, variances, rtol=1e-4)
    np.testing.assert_allclose(model.explained_variance.numpy(), axes.explained_variance, rtol=1e-6)
    assert np.all(np.diff(axes.explained_variance) <= 0)
    basis = model.basis.numpy()
    assert np.all(np.take_along_axis(basis, np.abs(basis).argmax(axis=0)[None], axis=0) > 0)


def test_ica_finds_the_sources_that_are_mixed_in_the_features():
    """Uniform factors of equal variances along known orthogonal directions of the features."""
    generator = np.random.default_rng(0)
    directions = rotations_oracle.random_orthogonal(6, seed=1)[:, :3]
    samples = (generator.uniform(-1, 1, (4000, 3)) @ directions.T + 2).astype("float32")
    model = StiefelRKM(*(_identity(6) for _ in range(2)), 3, seed=0)
    model.basis.assign(directions @ rotations_oracle.random_orthogonal(3, seed=2))
    model.fit_principal_axes(samples)
    assert rotations_oracle.mismatch(model.basis.numpy(), directions) > 0.05
    model.fit_principal_axes(tf.data.Dataset.from_tensor_slices(samples).batch(300), "ica")
    assert rotations_oracle.mismatch(model.basis.numpy(), directions) < 0.03


@pytest.mark.parametrize("centering", ["none", "batch"])
def test_joint_diagonalization_lessens_what_is_off_the_diagonal_of_the_jacobian(centering):
    model, images = _trained(decoder_centering=centering), _images(256)
    model.fit_principal_axes(images)

    def off_diagonal():
        latents = model.encode(images).numpy()
        grams = decoder_grams(model.decode, latents, np.diag(latents.std(axis=0)))
        return rotations_oracle.off_diagonal_sum(np.eye(3), grams)

    before = off_diagonal()
    axes = model.fit_principal_axes(images, "joint_diagonalization")
    assert np.abs(axes.rotation - np.eye(3)).max() > 0.01
    assert off_diagonal() < before


def test_seed_selects_the_images_by_which_axes_are_found(monkeypatch):
    monkeypatch.setattr(stiefel_rkm, "_NUM_SAMPLED_CODES", 100)
    bases = []
    for seed, batch_size in ((0, 256), (0, 37), (1, 256)):
        model = _trained()
        model.fit_principal_axes(_images(250), "ica", batch_size=batch_size, seed=seed)
        bases.append(model.basis.numpy())
    np.testing.assert_allclose(bases[0], bases[1], atol=1e-4)
    assert np.abs(bases[0] - bases[2]).max() > 1e-2


@pytest.mark.parametrize("method", ["ica", "joint_diagonalization"])
def test_latents_that_do_not_vary_have_no_axes_to_find_and_the_model_stays(method):
    model = _model()
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(ValueError, match="must vary, or no axis is better"):
        model.fit_principal_axes(np.ones((8, *IMAGE_SHAPE), "float32"), method)
    for ours, expected in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ours.numpy(), expected)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="rotate, ica, joint_diagonalization, recompute.*'pca'"):
        _model().fit_principal_axes(_images(), "pca")


def test_recompute_takes_the_leading_eigenvectors_and_angles_tell_how_far_they_are():
    model = _trained()
    images = _images(256)
    before = model.basis.numpy()
    axes = model.fit_principal_axes(images, method="recompute")
    np.testing.assert_allclose(axes.rotation, before.T @ model.basis.numpy(), atol=1e-5)
    covariance = np.cov(model.encoder(images).numpy().T.astype("float64"), bias=True)
    values, vectors = np.linalg.eigh(covariance)
    leading = vectors[:, ::-1][:, :3]
    overlap = np.abs(np.sum(model.basis.numpy() * leading, axis=0))
    np.testing.assert_allclose(overlap, 1, atol=1e-5)
    np.testing.assert_allclose(axes.explained_variance, values[::-1][:3], rtol=1e-5)
    cosines = np.linalg.svd(before.T @ leading)[1]
    np.testing.assert_allclose(np.cos(axes.principal_angles), np.clip(cosines, -1, 1), atol=1e-6)


def test_signs_of_the_axes_are_deterministic():
    model = _trained()
    model.fit_principal_axes(_images(256))
    first = model.basis.numpy()
    model.basis.assign(-first)
    model.fit_principal_axes(_images(256))
    np.testing.assert_allclose(model.basis.numpy(), first, atol=1e-5)
    assert np.all(np.take_along_axis(first, np.abs(first).argmax(axis=0)[None], axis=0) > 0)


def test_principal_axes_of_a_dataset_with_labels_equal_those_of_the_array():
    model, images = _trained(), _images(250)
    expected = model.fit_principal_axes(images)
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(250))).batch(64)
    axes = model.fit_principal_axes(dataset)
    assert axes.num_samples == 250
    np.testing.assert_allclose(
        axes.feature_covariance, expected.feature_covariance, rtol=1e-4, atol=1e-7
    )


def test_explained_variance_is_an_error_before_it_is_known():
    with pytest.raises(ValueError, match="fit_principal_axes"):
        _ = _model().explained_variance


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"update": "alternating", "decoder_centering": "batch"},
        {"reconstruction_mode": "split", "noise_stddev": 0.3},
    ],
)
def test_a_saved_model_has_the_same_outputs_and_takes_the_same_next_step(tmp_path, arguments):
    model = _model(hidden_dims=(16,), compiled=False, **arguments)
    model.compile(keras.optimizers.Adam(2e-3), CayleyAdam(3e-2, clipnorm=1.0))
    model.fit(_images(64), verbose=0, batch_size=16)
    model.fit_principal_axes(_images(64))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is StiefelRKM
    # Keras writes networks that were loaded a little differently; their weights are compared below.
    configs = [
        {k: v for k, v in each.get_config().items() if k not in ("encoder", "decoder")}
        for each in (loaded, model)
    ]
    assert configs[0] == configs[1]
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    _assert_equal_weights(loaded, model)
    np.testing.assert_array_equal(loaded.reconstruct(_images(5)), model.reconstruct(_images(5)))
    for step in range(3):
        for each in (model, loaded):
            each.train_on_batch(_images(16, seed=step))
    _assert_equal_weights(loaded, model)
    for ours, expected in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())


def test_a_model_that_was_not_compiled_is_saved_too(tmp_path):
    model = _model(compiled=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.reconstruct(_images(5)), model.reconstruct(_images(5)))


@pytest.mark.parametrize(
    "data",
    [
        lambda images: images,
        lambda images: tf.data.Dataset.from_tensor_slices(images).batch(16),
        lambda images: tf.data.Dataset.from_tensor_slices((images, np.zeros(len(images)))).batch(
            16
        ),
    ],
    ids=["array", "dataset", "dataset with labels"],
)
def test_fit_takes_arrays_and_datasets(data):
    model = _model()
    validation_data = data(_images(20))
    arguments = {"epochs": 2, "verbose": 0, "shuffle": False}
    history = model.fit(data(_images(64)), validation_data=validation_data, **arguments).history
    names = {"loss", "reconstruction_loss", "pca_loss", "orthonormality_error"}
    assert set(history) == names | {f"val_{name}" for name in names}
    assert history["loss"][1] < history["loss"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "compile_arguments",
    [{"run_eagerly": True}, {"steps_per_execution": 2}, {"jit_compile": True}],
)
@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_every_way_of_execution_trains_alike(compile_arguments, update):
    models = [_model(hidden_dims=(16,), compiled=False, update=update) for _ in range(2)]
    for model, arguments in zip(models, ({}, compile_arguments), strict=True):
        model.compile(**arguments)
        model.fit(_images(64), batch_size=16, verbose=0, shuffle=False)
    _assert_equal_weights(*models, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_mixed_precision_trains_with_a_float32_basis(policy, update):
    keras.config.set_dtype_policy(policy)
    model = _model(hidden_dims=(16,), update=update)
    scales_loss = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scales_loss == (policy == "mixed_float16")
    history = model.fit(_images(128), epochs=8, batch_size=16, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] - 0.1
    assert model.basis.dtype == "float32"
    assert history["orthonormality_error"][-1] < 1e-6
    assert model.encode(_images(2)).dtype == model.reconstruct(_images(2)).dtype == tf.float32


@pytest.mark.parametrize("floatx", ["float32", "float64"])
@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_float64_models_compute_in_float64(floatx, update):
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy("float64")
    try:
        model = _model(reconstruction_mode="split", update=update, mean_penalty=0.0)
        assert {variable.dtype for variable in model.trainable_variables} == {"float64"}
        images = _images().astype("float64") / 3
        model.fit(images, batch_size=16, verbose=0)
        gram = model.basis.numpy().T @ model.basis.numpy()
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-14)
        assert model.encode(images).dtype == model.reconstruct(images).dtype == tf.float64
        expected = _expected(model, images, mean=model.feature_mean.numpy())["loss"]
        # An input or a layer in float32 would be off by 1e-8.
        assert np.mean(model.energy(images)) == pytest.approx(expected, rel=1e-13)
        model.compile(nonfinite="skip")
        assert model.fit(images, verbose=0).history["skipped_steps"] == [0.0]
    finally:
        keras.config.set_floatx("float32")


def test_compile_gives_each_optimizer_its_variables_and_default_rate():
    model = _model()
    basis_optimizer, optimizer = model.optimizer.optimizers
    assert isinstance(basis_optimizer, CayleyAdam) and isinstance(optimizer, keras.optimizers.Adam)
    assert float(basis_optimizer.learning_rate) == pytest.approx(1e-2)
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)
    model.train_on_batch(_images())
    assert [v.path for v in basis_optimizer._trainable_variables] == [model.basis.path]
    assert len(optimizer._trainable_variables) == len(model.trainable_variables) - 1


def test_callbacks_see_both_learning_rates():
    model = _model()
    callback = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    model.fit(_images(), verbose=0, callbacks=[callback])
    rates = [float(inner.learning_rate) for inner in model.optimizer.optimizers]
    assert rates == pytest.approx([5e-3, 5e-4])


def test_a_frozen_basis_stays():
    for update in ("simultaneous", "alternating"):
        model = _model(compiled=False, update=update)
        model.projection.trainable = False
        model.compile()
        start = model.basis.numpy()
        model.fit(_images(), verbose=0)
        np.testing.assert_array_equal(model.basis.numpy(), start)


def test_generate_decodes_what_the_sampler_draws():
    class Sampler:
        def sample(self, num_samples, *, seed):
            return tf.random.stateless_normal((num_samples, 3), [seed, 0])

    model = _model()
    expected = model.decode(Sampler().sample(4, seed=7))
    np.testing.assert_array_equal(model.generate(4, Sampler(), seed=7), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent_dim": 7}, "latent_dim=7, feature_dim=6"),
        ({"latent_dim": 0}, "latent_dim=0"),
        ({"latent_dim": 2.5}, "latent_dim=2.5"),
        ({"reconstruction_loss": "mse"}, "reconstruction_loss='mse'"),
        ({"reconstruction_mode": "nosy"}, "reconstruction_mode='nosy'"),
        ({"decoder_centering": None}, "decoder_centering=None"),
        ({"update": "both"}, "update='both'"),
        ({"reconstruction_weight": -1.0}, "reconstruction_weight=-1.0"),
        ({"noise_stddev": float("nan")}, "noise_stddev=nan"),
        ({"mean_penalty": -2}, "mean_penalty=-2"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        _model(**arguments)


def test_networks_that_do_not_fit_are_refused():
    encoder = networks.dense_encoder(IMAGE_SHAPE, 6, hidden_dims=())
    for decoder in (
        networks.dense_decoder(5, IMAGE_SHAPE, hidden_dims=()),
        networks.dense_decoder(6, (8, 8, 1), hidden_dims=()),
    ):
        with pytest.raises(ValueError, match=r"encoder \(None, 4, 4, 1\) -> \(None, 6\)"):
            StiefelRKM(encoder, decoder, 2)


def test_an_encoder_that_returns_images_is_refused():
    network = keras.Sequential([keras.Input(IMAGE_SHAPE), keras.layers.Identity()])
    with pytest.raises(ValueError, match=r"output_shape=\(None, 4, 4, 1\)"):
        StiefelRKM(network, network, 2)


def test_an_encoder_without_shapes_is_refused():
    with pytest.raises(ValueError, match="`encoder` must be a Keras model with one input"):
        StiefelRKM(lambda x: x, networks.dense_decoder(6, IMAGE_SHAPE), 2)


@pytest.mark.parametrize("arguments", [{"loss": "mse"}, {"metrics": ["mae"]}])
def test_a_second_loss_is_refused(arguments):
    with pytest.raises(ValueError, match="has its own objective"):
        _model(compiled=False).compile(**arguments)


def test_two_optimizers_for_the_basis_are_refused():
    with pytest.raises(ValueError, match="ConstraintRouter, which has an optimizer"):
        _model(compiled=False).compile(ConstraintRouter(), CayleyAdam())


def test_latents_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"shape \(batch, 3\)\. Received: shape=\(2, 4\)"):
        _model().decode(np.zeros((2, 4)))


def test_a_batch_with_nan_stops_training_before_it_changes_a_weight():
    model = _model()
    images = _images(64)
    images[40] = np.nan  # the third batch of 16
    batches = tf.data.Dataset.from_tensor_slices(images).batch(16)
    reference = _model()
    reference.fit(batches.take(2), verbose=0, shuffle=False)
    with pytest.raises(ValueError, match="NaN or Inf, in a batch after training step 2"):
        model.fit(batches, verbose=0, shuffle=False)
    _assert_equal_weights(model, reference)


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_a_gradient_that_is_not_finite_is_an_error_and_reaches_no_weight(update):
    model, reference = _model(update=update), _model(update=update)
    for each in (model, reference):
        each.fit(_images(32), batch_size=16, verbose=0)
        each.encoder.layers[-1].bias.assign(np.full(FEATURE_DIM, np.inf))
    with pytest.raises(FloatingPointError, match="not finite, after training step 2. It has"):
        model.fit(_images(), verbose=0)
    _assert_equal_weights(model, reference)
    assert np.isfinite(model.feature_mean).all()


@keras.saving.register_keras_serializable(package="tests")
class _NanGradient(keras.layers.Layer):
    """Does nothing; the derivative of a root is infinite at zero, and 0 times that is NaN."""

    def call(self, inputs):
        return inputs + keras.ops.sqrt(keras.ops.square(0 * keras.ops.sum(inputs)))


def _with_nan_gradient(**options):
    """A model whose loss is finite, and the gradient of whose encoder is not; that of U is."""
    encoder = keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE),
            networks.dense_encoder(IMAGE_SHAPE, FEATURE_DIM, hidden_dims=(), seed=1),
            _NanGradient(),
        ]
    )
    decoder = networks.dense_decoder(FEATURE_DIM, IMAGE_SHAPE, hidden_dims=(), seed=2)
    return StiefelRKM(encoder, decoder, latent_dim=3, seed=0, **options)


def _values(model):
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_a_gradient_of_the_networks_alone_that_is_not_finite_leaves_u_alone_too(update, nonfinite):
    model = _with_nan_gradient(update=update)
    model.compile(nonfinite=nonfinite)
    before = _values(model)
    with pytest.raises(FloatingPointError, match="not finite"):
        model.fit(_images(64), batch_size=16, verbose=0)
    changed = {"loss", "reconstruction_loss", "pca_loss", "orthonormality_error", "skipped_steps"}
    names = [v.path for v in [*model.variables, *model.optimizer.variables]]
    for name, ours, was in zip(names, _values(model), before, strict=True):
        if name.split("/")[0] not in changed:  # the logs
            np.testing.assert_array_equal(ours, was, err_msg=name)


def test_xla_does_not_hide_a_gradient_that_is_not_finite():
    model = _with_nan_gradient()
    model.compile(jit_compile=True)
    with pytest.raises(FloatingPointError, match="loss is nan in batch 0"):
        model.fit(_images(32), batch_size=16, verbose=0)
    assert int(model.optimizer.iterations) == 0


def test_a_forward_pass_that_overflows_in_half_precision_ends_the_training():
    keras.config.set_dtype_policy("mixed_float16")
    model = _model()
    model.encoder.layers[-1].bias.assign(np.full(FEATURE_DIM, np.inf))
    with pytest.raises(FloatingPointError, match="not finite"):
        model.fit(_images(16), batch_size=16, verbose=0)
    assert np.isfinite(model.feature_mean).all()


def test_an_epoch_that_is_gone_on_with_is_not_taken_for_one_of_skipped_steps_alone(tmp_path):
    images = _images(64)
    images[5] *= 1e30  # its squared error overflows, in the first batch of 16
    model = _model(compiled=False, reconstruction_loss="mean_squared_error")
    model.compile(nonfinite="skip")
    store = checkpoints.CheckpointStore(tmp_path)

    def fit(model, first_batch, *callbacks):
        data = tf.data.Dataset.from_tensor_slices(images).batch(16).skip(first_batch).repeat()
        options = {"steps_per_epoch": 4, "shuffle": False, "verbose": 0}
        return model.fit(data, callbacks=list(callbacks), **options).history

    save = checkpoints.SaveCheckpoints(store)
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: batch == 2 and save.save_soon(KeyboardInterrupt())
    )
    with pytest.raises(KeyboardInterrupt):
        fit(model, 0, stop, save)
    found = store.load()
    assert found.position.epoch_step == 3
    # A single step is left, and a single one of the epoch was skipped.
    logs = fit(found.model, 3, checkpoints.ResumeTraining(found))
    assert logs["skipped_steps"] == [1.0]


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_steps_that_are_not_finite_are_skipped_and_counted_if_asked_for(update):
    images = _images(64)
    images[40] *= 1e30  # the third batch of 16: its squared error overflows
    batches = tf.data.Dataset.from_tensor_slices(images).batch(16)
    options = {"reconstruction_loss": "mean_squared_error", "update": update, "compiled": False}
    model, reference = _model(**options), _model(**options)
    model.compile(nonfinite="skip")
    reference.compile()
    logs = model.fit(batches, validation_data=batches.take(2), verbose=0, shuffle=False).history
    good = batches.enumerate().filter(lambda number, _: number != 2).map(lambda _, batch: batch)
    expected = reference.fit(good, verbose=0, shuffle=False).history
    assert logs["skipped_steps"] == [1.0]
    assert "val_skipped_steps" not in logs
    assert logs["loss"] == expected["loss"]
    _assert_equal_weights(model, reference)
    assert int(model.optimizer.iterations) == 3


def test_an_epoch_of_skipped_steps_alone_ends_the_training():
    model = _model(compiled=False)
    model.compile(nonfinite="skip")
    model.encoder.layers[-1].bias.assign(np.full(FEATURE_DIM, np.inf))
    with pytest.raises(FloatingPointError, match="all steps of epoch 1 were skipped"):
        model.fit(_images(32), batch_size=16, epochs=2, verbose=0)


def test_what_to_do_with_steps_that_are_not_finite_is_saved(tmp_path):
    model = _model(compiled=False)
    with pytest.raises(ValueError, match="`nonfinite` must be"):
        model.compile(nonfinite="ignore")
    model.compile(nonfinite="skip")
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").nonfinite == "skip"


def test_images_of_a_later_batch_must_lie_in_the_unit_range_too():
    images = _images(64)
    images[40] *= 255
    with pytest.raises(ValueError, match=r"lie in \[0, 1\].*after training step 2"):
        _model().fit(tf.data.Dataset.from_tensor_slices(images).batch(16), verbose=0, shuffle=False)


def test_xla_has_no_checks_in_the_graph_and_still_does_not_go_on_with_nan():
    model = _model(compiled=False)
    model.compile(jit_compile=True)
    images = _images(64)
    images[40] = np.nan
    with pytest.raises(FloatingPointError, match="is nan in batch 2"):
        model.fit(tf.data.Dataset.from_tensor_slices(images).batch(16), verbose=0, shuffle=False)


@pytest.mark.parametrize("mode", ["deterministic", "split"])
def test_float64_datasets_are_cast(mode):
    model = _model(reconstruction_mode=mode)
    dataset = tf.data.Dataset.from_tensor_slices(_images(64).astype("float64")).batch(16)
    model.fit(dataset, verbose=0, shuffle=False, validation_data=dataset)
    assert model.energy(_images(3).astype("float64")).dtype == tf.float32


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (_images(8).astype("uint8"), "dtype=uint8"),
        (_images(8)[..., 0], r"shape=\(8, 4, 4\)"),
        (np.full_like(_images(8), np.nan), "8 of 8 images with NaN"),
    ],
)
def test_data_to_evaluate_are_checked(images, message):
    model = _model()
    with pytest.raises(ValueError, match=message):
        model.evaluate(images, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.fit(_images(), validation_data=(images, np.zeros(8)), verbose=0)


def test_nan_in_a_validation_dataset_is_named_as_such():
    images = _images(32)
    images[20] = np.nan
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(16)
    with pytest.raises(ValueError, match="NaN or Inf, in a batch after training step 2"):
        _model().fit(_images(64), validation_data=dataset, verbose=0)


def test_sample_weights_are_refused():
    with pytest.raises(ValueError, match="sample_weight"):
        _model().fit(_images(), np.zeros(32), sample_weight=np.ones(32), verbose=0)


def test_a_dataset_that_turns_out_empty_is_refused():
    dataset = tf.data.Dataset.from_tensor_slices(_images()).batch(8).filter(lambda images: False)
    with pytest.raises(ValueError, match="no batch|any data"):
        _model().fit(dataset, verbose=0, shuffle=False)


def test_principal_axes_of_an_endless_dataset_are_refused():
    dataset = tf.data.Dataset.from_tensor_slices(_images()).batch(8).repeat()
    with pytest.raises(ValueError, match="repeats for ever"):
        _model().fit_principal_axes(dataset)


def test_principal_axes_name_the_batch_that_is_not_finite():
    images = _images()
    images[20] = np.inf
    with pytest.raises(ValueError, match="features of batch 2 are not finite"):
        _model().fit_principal_axes(tf.data.Dataset.from_tensor_slices(images).batch(8))


@pytest.mark.slow
@pytest.mark.parametrize("method", ROTATIONS)
def test_training_goes_on_after_the_axes_are_turned(method):
    """The loss does not depend on the rotation inside the span, so neither may the training."""
    turned, straight = _trained(), _trained()
    turned.fit_principal_axes(_images(256), method)
    for step in range(5):
        for model in (turned, straight):
            model.train_on_batch(_images(32, seed=step))
    projectors = [model.basis.numpy() @ model.basis.numpy().T for model in (turned, straight)]
    np.testing.assert_allclose(*projectors, atol=1e-4)


def test_averages_start_again_from_the_axes():
    model = _model(compiled=False)
    model.compile(basis_optimizer=CayleyAdam(0.05, use_ema=True, ema_momentum=0.9))
    model.fit(_images(64), verbose=0)
    model.fit_principal_axes(_images(64))
    (average,) = model.optimizer.basis_optimizer._model_variables_moving_average
    np.testing.assert_array_equal(average.numpy(), model.basis.numpy())


def test_explained_variance_is_forgotten_when_training_goes_on():
    model = _trained()
    model.fit_principal_axes(_images(256))
    model.fit(_images(64), verbose=0)
    with pytest.raises(ValueError, match="not known yet"):
        _ = model.explained_variance


def test_a_float64_model_stays_one_whatever_the_policy_is_when_it_is_loaded(tmp_path):
    keras.config.set_dtype_policy("float64")
    model = _model()
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.basis.dtype == "float64"
    np.testing.assert_array_equal(loaded.encode(_images(3)), model.encode(_images(3)))


def test_a_frozen_basis_is_frozen_in_a_file_too(tmp_path):
    model = _model(compiled=False)
    model.projection.trainable = False
    model.compile()
    model.fit(_images(), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.fit(_images(), verbose=0)
    np.testing.assert_array_equal(loaded.basis.numpy(), model.basis.numpy())


def test_both_halves_of_an_alternating_step_see_the_same_noise(monkeypatch):
    model = _model(update="alternating", reconstruction_mode="noisy", noise_stddev=0.1)
    model.run_eagerly = True
    seeds = []
    original = tf.random.stateless_normal

    def spy(shape, seed, **arguments):
        seeds.append(tuple(np.array(seed)))
        return original(shape, seed, **arguments)

    monkeypatch.setattr(tf.random, "stateless_normal", spy)
    model.fit(_images(32), batch_size=16, verbose=0)
    assert seeds == [(0, 0), (0, 0), (0, 1), (0, 1)]


def test_numpy_integers_are_integers(tmp_path):
    model = _model(latent_dim=np.int64(3))
    model.save(tmp_path / "model.keras")
    latent_dim = keras.models.load_model(tmp_path / "model.keras").latent_dim
    assert type(latent_dim) is int and latent_dim == 3
