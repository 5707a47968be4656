import numpy as np
import tensorflow as tf
from tensorflow.core.util import event_pb2

from keras_rkm import evaluation, visualization


class _Identity:
    def encode(self, images):
        return tf.reshape(images, (len(images), 4))

    def decode(self, latents):
        return tf.reshape(latents, (-1, 2, 2, 1))

    def reconstruct(self, images):
        return images


def _evaluate(factors=None):
    images = np.random.default_rng(0).integers(0, 5, size=(200, 2, 2, 1)) / 4
    if factors is None:
        factors = images.reshape(200, 4)[:, :2]
    names = ["reconstruction_error", "dci_lasso", "mutual_information_gap", "irs"]
    known = {} if factors is False else {"factors": factors, "factor_names": ["size", "hue"]}
    return evaluation.evaluate(_Identity(), images, measures=names, **known)


def _summaries(folder):
    """Tag and value of everything in the event files."""
    found = {}
    for file in folder.iterdir():
        for record in tf.data.TFRecordDataset(str(file)):
            event = event_pb2.Event.FromString(record.numpy())
            found |= {each.tag: (event.step, each.tensor) for each in event.summary.value}
    return found


def test_picture_shows_the_matrices_by_axis_and_factor():
    found = _evaluate()
    picture = evaluation.importance_picture(found)
    expected = visualization.heat_maps(
        {
            "DCI, Lasso": found["dci_lasso"].report.matrix,
            "mutual information": found["mutual_information_gap"].report.matrix,
        },
        row_labels=["axis 1", "axis 2", "axis 3", "axis 4"],
        column_labels=["size", "hue"],
    )
    np.testing.assert_array_equal(picture, expected)


def test_without_factors_there_is_no_picture():
    assert evaluation.importance_picture(_evaluate(factors=False)) is None


def test_summaries_are_all_scalars_and_the_picture(tmp_path):
    found = _evaluate()
    with tf.summary.create_file_writer(str(tmp_path)).as_default(step=7):
        evaluation.write_summaries(found)
    written = _summaries(tmp_path)
    picture = written.pop("disentanglement/importances")
    assert written.keys() == found.scalars().keys()
    for tag, value in found.scalars().items():
        assert written[tag][0] == 7
        np.testing.assert_allclose(tf.make_ndarray(written[tag][1]), value, rtol=1e-6)
    drawn = tf.io.decode_png(tf.make_ndarray(picture[1])[2])
    np.testing.assert_array_equal(drawn, evaluation.importance_picture(found))


def test_without_factors_there_is_no_picture_to_write(tmp_path):
    found = _evaluate(factors=False)
    with tf.summary.create_file_writer(str(tmp_path)).as_default(step=0):
        evaluation.write_summaries(found)
    assert _summaries(tmp_path).keys() == found.scalars().keys()
