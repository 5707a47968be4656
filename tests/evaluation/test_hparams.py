"""Trials, read back as the HParams plugin of TensorBoard reads them."""

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from keras_rkm import evaluation


def _read(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    data = {}
    for tag in ("session_start_info", "session_end_info"):
        metadata = accumulator.SummaryMetadata(f"_hparams_/{tag}")
        assert metadata.plugin_data.plugin_name == "hparams"
        content = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
        data[tag] = getattr(content, tag)
    return accumulator, data


def test_settings_scores_and_pictures_are_there(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    png = tf.io.encode_png(picture).numpy()
    hparams = {"rate": 0.5, "epochs": 3, "mode": "split", "download": False, "steps": None, "x": ()}
    scores = {"loss": 1.5, "disentanglement/dci": 0.25}
    evaluation.write_trial(tmp_path / "a", hparams, scores, pictures={"samples": png}, step=7)
    accumulator, data = _read(tmp_path / "a")
    values = data["session_start_info"].hparams
    assert set(values) == {"rate", "epochs", "mode", "download", "x"}
    assert values["rate"].number_value == 0.5
    assert values["mode"].string_value == "split"
    assert values["download"].HasField("bool_value")
    assert data["session_end_info"].status == 1  # success
    for tag, value in scores.items():
        (event,) = accumulator.Tensors(tag)
        assert (event.step, float(tf.make_ndarray(event.tensor_proto))) == (7, value)
    (event,) = accumulator.Tensors("samples")
    decoded = tf.io.decode_png(event.tensor_proto.string_val[2])
    np.testing.assert_array_equal(decoded, picture)


def test_trial_that_is_there_is_replaced(tmp_path):
    for value in (1.0, 2.0):
        evaluation.write_trial(tmp_path / "a", {"seed": 0}, {"loss": value})
    assert len(list((tmp_path / "a").iterdir())) == 1
    accumulator, _ = _read(tmp_path / "a")
    (event,) = accumulator.Tensors("loss")
    assert float(tf.make_ndarray(event.tensor_proto)) == 2.0
