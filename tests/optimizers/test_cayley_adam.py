"""CayleyAdam against the dense float64 oracle, Keras' Adam, and its own promises."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.constraints import Stiefel
from keras_rkm.manifolds import stiefel
from keras_rkm.optimizers import CayleyAdam
from tests.oracles import stiefel as oracle


def _variable(shape, dtype="float32", seed=0, constraint=True):
    value = np.linalg.qr(np.random.default_rng(seed).standard_normal(shape))[0]
    variable = keras.Variable(value.astype(dtype), dtype=dtype, name="basis")
    variable.constraint = Stiefel() if constraint else None
    return variable


def _gradients(shape, num_steps, dtype="float32", seed=1):
    return np.random.default_rng(seed).standard_normal((num_steps, *shape)).astype(dtype)


def _run(optimizer, variable, gradients, jit_compile=False):
    optimizer.build([variable])

    @tf.function(jit_compile=jit_compile)
    def step(gradient):
        optimizer.apply([gradient], [variable])

    for gradient in gradients:
        step(gradient)
    return variable.numpy()


def _run_oracle(gradients, point, **arguments):
    state = oracle.CayleyAdam(**arguments)
    point = point.astype("float64")
    for gradient in gradients:
        point = state.step(point, gradient.astype("float64"))
    return point


@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": 0.3},
        {"learning_rate": 10.0},  # the step bound is active
        {"learning_rate": 10.0, "step_bound": 0.2},
        {"learning_rate": 0.3, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.5},
        {"learning_rate": 0.3, "amsgrad": True},
    ],
)
@pytest.mark.parametrize("shape", [(12, 3), (5, 5), (9, 1)])
def test_large_float32_steps_follow_the_dense_oracle(shape, arguments):
    gradients = _gradients(shape, 20) * np.linspace(3, 1, 20, dtype="float32")[:, None, None]
    variable = _variable(shape)
    expected = _run_oracle(gradients, variable.numpy(), **arguments)
    result = _run(CayleyAdam(**arguments), variable, gradients)
    assert np.linalg.norm(result - expected) <= 1e-5 * np.linalg.norm(expected)


def test_200_float64_steps_follow_the_dense_oracle_to_twelve_digits():
    gradients = _gradients((12, 3), 200, "float64")
    for learning_rate in (0.1, 10.0):
        variable = _variable((12, 3), "float64")
        start = variable.numpy()
        optimizer = CayleyAdam(lambda rate=learning_rate: tf.constant(rate, tf.float64))
        result = _run(optimizer, variable, gradients)
        expected = _run_oracle(gradients, start, learning_rate=learning_rate)
        assert np.linalg.norm(result - expected) <= 1e-12 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.1),
        ("beta_1", 0.9),
        ("beta_2", 0.9),
        ("epsilon", 30.0),
        ("step_bound", 0.5),
    ],
)
def test_every_hyperparameter_moves_the_result(name, value):
    arguments = {"learning_rate": 0.1, "epsilon": 1.0, name: value}
    if name == "step_bound":
        arguments["learning_rate"] = 10.0
    gradients = _gradients((12, 3), 20)
    results = [
        _run(CayleyAdam(**{**arguments, name: value * factor}), _variable((12, 3)), gradients)
        for factor in (1.0, 0.9)
    ]
    assert np.linalg.norm(results[0] - results[1]) > 100 * 1e-5 * np.sqrt(3)


def test_leading_axes_are_separate_matrices():
    gradients = _gradients((2, 8, 3), 10)
    gradients[:, 1] *= 100  # a shared second moment would slow the first matrix down
    variable = _variable((2, 8, 3))
    start = variable.numpy()
    result = _run(CayleyAdam(0.2), variable, gradients)
    for index in range(2):
        expected = _run_oracle(gradients[:, index], start[index], learning_rate=0.2)
        np.testing.assert_allclose(result[index], expected, atol=1e-5)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_unconstrained_weights_follow_adam_exactly(amsgrad):
    arguments = {
        "learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "amsgrad": amsgrad,
        "weight_decay": 0.1, "clipnorm": 0.5,
    }  # fmt: skip
    gradients = _gradients((8, 3), 10)
    results = [
        _run(optimizer(**arguments), _variable((8, 3), constraint=False), gradients)
        for optimizer in (CayleyAdam, keras.optimizers.Adam)
    ]
    np.testing.assert_array_equal(*results)


def _drift(shape, learning_rate, num_steps, *, gradient_scale=1.0, gradient_dtype="float32"):
    """||X'X - I||_F after descending a noisy PCA loss, so that the gradients are real ones."""
    variable = _variable(shape)
    scales = tf.constant(np.linspace(1, 0.01, shape[0])[:, None], tf.float32)
    optimizer = CayleyAdam(learning_rate)
    optimizer.build([variable])

    @tf.function
    def run():
        for step in tf.range(num_steps):
            noise = tf.random.stateless_normal(shape, tf.stack([step, 7]))
            gradient = gradient_scale * (0.1 * noise - scales * variable.value)
            optimizer.apply([tf.cast(gradient, gradient_dtype)], [variable])

    run()
    return float(np.linalg.norm(_gram64(variable) - np.eye(shape[1])))


def _gram64(variable):
    matrix = variable.numpy().astype("float64")
    return matrix.T @ matrix


@pytest.mark.parametrize("learning_rate", [1e-4, 1e-2, 1e-1])
def test_float32_basis_stays_orthonormal_over_10000_steps(learning_rate):
    assert _drift((256, 10), learning_rate, 10_000) <= 5e-7


@pytest.mark.parametrize(
    "arguments",
    [{"gradient_dtype": "bfloat16"}, {"gradient_scale": 1e-6}, {"gradient_scale": 1e6}],
)
def test_drift_does_not_depend_on_the_precision_or_scale_of_gradients(arguments):
    assert _drift((256, 10), 1e-2, 10_000, **arguments) <= 5e-7


@pytest.mark.slow
def test_large_float32_basis_stays_orthonormal_over_10000_steps():
    assert _drift((1024, 64), 1e-2, 10_000) <= 1e-6


def test_a_basis_that_was_pushed_off_the_manifold_returns():
    variable = _variable((64, 5))
    optimizer = CayleyAdam(1e-3)
    optimizer.build([variable])
    variable.assign(variable.value * 1.005)
    _run(optimizer, variable, _gradients((64, 5), 200))
    assert np.linalg.norm(_gram64(variable) - np.eye(5)) <= 5e-7


def _operations(shape):
    variable = _variable(shape)
    optimizer = CayleyAdam(1e-2)
    optimizer.build([variable])

    @tf.function
    def step(gradient):
        optimizer.apply([gradient], [variable])

    graph = step.get_concrete_function(tf.TensorSpec(shape)).graph
    return [operation for g in [graph, *_functions_of(graph)] for operation in g.get_operations()]


def _functions_of(graph):
    functions = getattr(graph, "_functions", {}).values()
    return [function.graph for function in functions if hasattr(function, "graph")]


def test_a_step_forms_no_matrix_larger_than_the_weight():
    rows, columns = 50, 3
    operations = _operations((rows, columns))
    shapes = [output.shape for op in operations for output in op.outputs]
    for shape in shapes:
        assert list(shape).count(rows) < 2
        assert shape.num_elements() is None or shape.num_elements() <= 2 * rows * columns
    kinds = [operation.type for operation in operations]
    assert not {"Qr", "Svd", "MatrixInverse", "SelfAdjointEigV2", "Einsum"} & set(kinds)
    products = [kind for kind in kinds if "MatMul" in kind]
    assert 6 <= len(products) <= 15, "all products are counted, and there are few"
    # The one factorisation is that of a matrix of the size of the latents.
    solves = [op for op in operations if op.type == "MatrixSolve"]
    assert [op.inputs[0].shape.as_list() for op in solves] == [[columns, columns]]


def test_xla_takes_the_same_steps():
    gradients = _gradients((12, 3), 20)
    results = [
        _run(CayleyAdam(0.3), _variable((12, 3)), gradients, jit_compile=jit_compile)
        for jit_compile in (False, True)
    ]
    np.testing.assert_allclose(*results, atol=1e-5)


def test_the_same_gradients_give_the_same_bits():
    gradients = _gradients((64, 10), 30)
    results = [_run(CayleyAdam(0.3), _variable((64, 10)), gradients) for _ in range(2)]
    np.testing.assert_array_equal(*results)


def test_a_loss_that_depends_on_the_rotation_inside_the_span_converges():
    variable = _variable((8, 3))
    target = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))[0].astype("float32")
    target = variable.numpy() @ (target * np.sign(np.linalg.det(target)))  # the same span
    optimizer = CayleyAdam(keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.5))
    optimizer.build([variable])

    @tf.function
    def step():
        difference = variable.value - target
        optimizer.apply([2 * difference], [variable])
        return tf.reduce_sum(tf.square(difference))

    losses = [float(step()) for _ in range(1000)]
    assert losses[0] > 0.1
    assert losses[-1] < 1e-8


@pytest.mark.parametrize("clip", [{"clipnorm": 0.1}, {"global_clipnorm": 0.1}, {"clipvalue": 0.01}])
def test_clipping_applies_to_the_gradient_of_the_basis(clip):
    gradients = _gradients((12, 3), 5)
    if "clipvalue" in clip:
        clipped = np.clip(gradients, -0.01, 0.01)
    else:
        norms = np.linalg.norm(gradients, axis=(1, 2), keepdims=True)
        clipped = gradients * np.minimum(1, 0.1 / norms)
    arguments = {"learning_rate": 0.3, "epsilon": 0.01}
    variable = _variable((12, 3))
    expected = _run_oracle(clipped, variable.numpy(), **arguments)
    result = _run(CayleyAdam(**arguments, **clip), variable, gradients)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_learning_rate_schedules_are_followed():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.3, 0.0])
    variable = _variable((12, 3))
    optimizer = CayleyAdam(schedule)
    gradients = _gradients((12, 3), 6)
    after_three = _run(optimizer, variable, gradients[:3]).copy()
    after_six = _run(optimizer, variable, gradients[3:])
    assert np.linalg.norm(after_three - _variable((12, 3)).numpy()) > 0.1
    np.testing.assert_allclose(after_six, after_three, atol=1e-6)


def test_gradient_accumulation_applies_the_mean_gradient():
    gradients = _gradients((12, 3), 4)
    variable = _variable((12, 3))
    expected = _run_oracle(
        gradients.reshape(2, 2, 12, 3).mean(axis=1), variable.numpy(), learning_rate=0.3
    )
    result = _run(CayleyAdam(0.3, gradient_accumulation_steps=2), variable, gradients)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_averages_lie_on_the_manifold_and_replace_the_weights_at_the_end():
    variable = _variable((12, 3))
    optimizer = CayleyAdam(0.3, use_ema=True, ema_momentum=0.5)
    gradients = _gradients((12, 3), 10)
    last = _run(optimizer, variable, gradients).copy()
    (average,) = optimizer._model_variables_moving_average
    assert float(stiefel.orthonormality_error(average)) < 2e-6
    optimizer.finalize_variable_values([variable])
    np.testing.assert_array_equal(variable.numpy(), average.numpy())
    assert np.linalg.norm(variable.numpy() - last) > 1e-2


def _trained_in_one_go_and_half_way():
    def train(model, first, last):
        for step in range(first, last):
            x = np.random.default_rng(step).standard_normal((16, 8)).astype("float32")
            model.train_on_batch(x, x[:, :4])

    def make():
        keras.utils.set_random_seed(0)
        layers = [
            keras.Input((8,)),
            keras.layers.Dense(6, kernel_initializer="orthogonal", kernel_constraint=Stiefel()),
            keras.layers.Dense(4),
        ]
        model = keras.Sequential(layers)
        model.compile(CayleyAdam(0.05, step_bound=0.3), loss="mse")
        return model

    whole, parts = make(), make()
    train(whole, 0, 10)
    train(parts, 0, 5)
    return whole, parts, train


def test_a_saved_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole, parts, train = _trained_in_one_go_and_half_way()
    parts.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, CayleyAdam)
    assert loaded.optimizer.get_config() == parts.optimizer.get_config()
    train(loaded, 5, 10)
    for expected, weight in zip(whole.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_the_basis_orthonormal(policy):
    keras.config.set_dtype_policy(policy)
    layer = keras.layers.Dense(
        4, kernel_initializer="orthogonal", kernel_constraint=Stiefel(), use_bias=False
    )
    model = keras.Sequential([keras.Input((32,)), layer])
    model.compile(CayleyAdam(0.05), loss="mse")
    start = np.array(layer.kernel)
    inputs = np.random.default_rng(0).standard_normal((64, 32))
    model.fit(inputs, inputs[:, :4], epochs=20, batch_size=16, verbose=0)
    assert np.linalg.norm(np.array(layer.kernel) - start) > 0.1
    assert np.linalg.norm(_gram64(layer.kernel) - np.eye(4)) <= 5e-7


def test_a_step_is_traced_once():
    traces = []
    variable, optimizer = _variable((6, 2)), CayleyAdam(0.1)
    optimizer.build([variable])

    @tf.function
    def step(gradient):
        traces.append(1)
        optimizer.apply([gradient], [variable])

    for gradient in _gradients((6, 2), 3):
        step(tf.constant(gradient))
    assert len(traces) == 1


def test_any_other_optimizer_leaves_the_constraint_to_keras():
    variable = _variable((12, 3))
    _run(keras.optimizers.SGD(0.5), variable, _gradients((12, 3), 3))
    assert float(stiefel.orthonormality_error(variable.value)) < 2e-6


def test_weight_decay_of_a_constrained_weight_is_refused():
    with pytest.raises(
        ValueError, match=r"weight_decay=0.01 with basis.*exclude_from_weight_decay"
    ):
        CayleyAdam(weight_decay=0.01).build([_variable((4, 2))])


def test_weight_decay_is_accepted_once_the_constrained_weight_is_excluded():
    variable = _variable((4, 2))
    optimizer = CayleyAdam(weight_decay=0.01)
    optimizer.exclude_from_weight_decay(var_list=[variable])
    optimizer.build([variable])
    optimizer.apply([tf.zeros((4, 2))])
    assert float(stiefel.orthonormality_error(variable.value)) < 1e-6


def test_a_wide_weight_is_refused():
    variable = keras.Variable(np.ones((2, 3), "float32"), name="wide")
    variable.constraint = Stiefel()
    with pytest.raises(ValueError, match=r"wide of shape \(2, 3\)"):
        CayleyAdam().build([variable])


def test_a_start_off_the_manifold_is_refused():
    variable = keras.Variable(np.ones((3, 2), "float32"), name="start")
    variable.constraint = Stiefel()
    with pytest.raises(ValueError, match=r"start with \|\|X'X - I\|\|_F = 5\.1.*orthogonal"):
        CayleyAdam().build([variable])


@pytest.mark.parametrize(
    ("arguments", "received"),
    [({"epsilon": 0.0}, "epsilon=0.0"), ({"step_bound": 1.0}, "step_bound=1.0")],
)
def test_arguments_out_of_range_are_refused(arguments, received):
    with pytest.raises(ValueError, match=received):
        CayleyAdam(**arguments)
