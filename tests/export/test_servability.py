"""What TensorFlow Serving could not load or answer from is refused, with the reason."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.export import check_servable

_ROW = tf.TensorSpec([None, 2], tf.float32, name="x")
_SEED = tf.TensorSpec([None], tf.int64, name="seed")


def _save(folder, function, *specs, tracked=None):
    archive = keras.export.ExportArchive()
    if tracked is not None:
        archive.track(tracked)
    archive.add_endpoint("answer", function, list(specs))
    archive.write_out(folder, verbose=False)


@tf.function(jit_compile=True)
def _compiled(x):
    return 2 * x


def _python(x):
    y = tf.numpy_function(lambda value: value, [x], tf.float32)
    return {"y": tf.ensure_shape(y, [None, 2])}


@pytest.mark.parametrize(
    ("function", "spec", "reason"),
    [
        (lambda x: {"y": x}, tf.TensorSpec([4, 2], tf.float32), r"no free first .* \(4, 2\)"),
        (lambda x: {"y": tf.reduce_sum(x)}, _ROW, r"output 'y' .* no free first dimension.*\(\)"),
        (lambda x: {"y": tf.cast(x, tf.bfloat16)}, _ROW, "'y' .* is of type bfloat16"),
        (lambda x: {"y": tf.cast(x, tf.complex64)}, _ROW, "'y' .* is of type complex64"),
        (lambda x: {"y": tf.as_string(x)}, _ROW, "'y' .* strings, whose name has to end in '_byt"),
        (_python, _ROW, "an op of type PyFunc calls Python"),
        (lambda x: {"y": _compiled(x)}, _ROW, "calls XLA's compiler"),
        (lambda x: {"y": tf.concat([x, x], 0)}, _ROW, "'answer' fails on 1 rows of zeros.*2 rows"),
        (lambda x: {"y": x[:1]}, _ROW, "'answer' fails on 2 rows of zeros.* has 1 rows"),
        (
            lambda seed: {"y": tf.random.stateless_uniform([tf.size(seed)], seed)},
            _SEED,
            "fails on 1 rows",
        ),
    ],
)
def test_what_the_server_could_not_do_is_named(tmp_path, function, spec, reason):
    _save(tmp_path, function, spec)
    with pytest.raises(ValueError, match=rf"Received: path='{tmp_path}'.*{reason}"):
        check_servable(tmp_path)


def test_a_signature_without_input_is_refused(tmp_path):
    _save(tmp_path, lambda: {"y": tf.zeros([3])})
    with pytest.raises(ValueError, match="'answer' has no input, .*no free first dimension"):
        check_servable(tmp_path)


def test_weights_that_are_stored_twice_are_refused(tmp_path):
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    _save(tmp_path / "once", lambda x: {"y": layer(x)}, _ROW)
    check_servable(tmp_path / "once")
    _save(tmp_path / "twice", lambda x: {"y": layer(x)}, _ROW, tracked=layer)
    with pytest.raises(ValueError, match="4 variables are stored but 2 are used"):
        check_servable(tmp_path / "twice")


def test_a_keras_model_saved_by_tensorflow_is_refused(tmp_path):
    # `tf.saved_model.load` reads it well, a session does not find its variables.
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    module = tf.Module()
    module.model = model
    module.answer = tf.function(lambda x: {"y": model(x)}, input_signature=[_ROW])
    tf.saved_model.save(module, str(tmp_path), signatures={"answer": module.answer})
    with pytest.raises(ValueError, match="would fail in TensorFlow Serving"):
        check_servable(tmp_path)


def test_a_model_of_constants_and_one_of_strings_are_fine(tmp_path):
    _save(
        tmp_path,
        lambda x: {"y_bytes": tf.strings.join([x, "!"])},
        tf.TensorSpec([None], tf.string, name="x"),
    )
    check_servable(tmp_path)


def test_damage_and_absence_are_told_apart(tmp_path):
    with pytest.raises(OSError, match="saved_model.pb"):
        check_servable(tmp_path)
    variable = tf.Variable(np.ones([2], "float32"))
    _save(tmp_path / "model", lambda x: {"y": x * variable}, _ROW)
    check_servable(tmp_path / "model")
    data = tmp_path / "model" / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:4])
    with pytest.raises(ValueError, match="cannot be loaded"):
        check_servable(tmp_path / "model")


def _garbled(data):
    return b"no protocol buffer"


def _with_another_output(data):
    # Of the signature, which then names a node that is not there, at the same length.
    assert data.count(b"StatefulPartitionedCall:0") >= 1
    return data.replace(b"StatefulPartitionedCall:0", b"StatefulPartitionedCalm:0")


@pytest.mark.parametrize(
    ("name", "harm", "what"),
    [
        ("saved_model.pb", _garbled, "saved_model.pb is damaged: "),
        ("saved_model.pb", lambda data: data[: len(data) // 2], "saved_model.pb is damaged: "),
        ("saved_model.pb", lambda data: b"", "no graph has the tag 'serve'"),
        ("saved_model.pb", _with_another_output, "StatefulPartitionedCalm"),
        ("variables/variables.index", lambda data: data[:20], "list of its variables is damaged: "),
        ("variables/variables.index", _garbled, "list of its variables is damaged: "),
    ],
)
def test_every_file_that_is_damaged_is_told_in_a_line(tmp_path, name, harm, what):
    variable = tf.Variable(np.ones([2], "float32"))
    _save(tmp_path, lambda x: {"y": x * variable}, _ROW)
    path = tmp_path / name
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ValueError) as caught:
        check_servable(tmp_path)
    assert what in str(caught.value) and str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
