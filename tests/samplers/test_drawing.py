import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_rkm.samplers import StandardNormalSampler
from keras_rkm.samplers.drawing import normal_rows, row_keys

_SEEDS = np.array([5, 0, 2**63 - 1, 17, 5, 1, 2])


def test_a_row_depends_on_its_seed_alone(sampler):
    whole = sampler.sample_from_seeds(_SEEDS).numpy()
    np.testing.assert_array_equal(whole[0], whole[4])
    assert len(np.unique(whole, axis=0)) == 6
    for start, stop in [(0, 1), (1, 3), (2, 7), (6, 7)]:
        part = sampler.sample_from_seeds(_SEEDS[start:stop]).numpy()
        np.testing.assert_array_equal(part, whole[start:stop])
    many = sampler.sample_from_seeds(np.concatenate([np.arange(100, 457), _SEEDS])).numpy()
    np.testing.assert_array_equal(many[-7:], whole)


def test_a_graph_draws_the_same_as_eager_mode(sampler):
    draw = tf.function(sampler.sample_from_seeds, input_signature=[tf.TensorSpec([None], tf.int64)])
    np.testing.assert_array_equal(draw(_SEEDS), sampler.sample_from_seeds(_SEEDS))
    assert draw.get_concrete_function().structured_outputs.shape.as_list() == [None, 4]


def test_a_session_draws_the_same_from_a_saved_model(sampler, tmp_path):
    # The way TensorFlow Serving loads it, without Python objects.
    archive = keras.export.ExportArchive()
    archive.add_endpoint("draw", sampler.sample_from_seeds, [tf.TensorSpec([None], tf.int64)])
    archive.write_out(str(tmp_path), verbose=False)
    expected = sampler.sample_from_seeds(_SEEDS).numpy()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path))
        signature = graph.signature_def["draw"]
        (feed,), (fetch,) = signature.inputs.values(), signature.outputs.values()
        drawn = session.run(fetch.name, {feed.name: _SEEDS})
        fresh = session.run(fetch.name, {feed.name: [-1, -1]})
        again = session.run(fetch.name, {feed.name: [-1, -1]})
    np.testing.assert_array_equal(drawn, expected)
    assert len(np.unique(np.concatenate([fresh, again]), axis=0)) == 4
    operations = {node.op for node in graph.graph_def.node}
    operations |= {node.op for f in graph.graph_def.library.function for node in f.node_def}
    assert not [name for name in operations if "PyFunc" in name or "Xla" in name]


def test_negative_seeds_are_fresh_in_every_row_and_call(sampler):
    seeds = [-1, -1, -7, 3]
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        drawn.append(sampler.sample_from_seeds(seeds).numpy())
    np.testing.assert_array_equal(drawn[0][3], drawn[1][3])
    assert len(np.unique(np.concatenate(drawn), axis=0)) == 7


def test_sample_is_a_function_of_the_seed(sampler):
    first = sampler.sample(50, seed=1).numpy()
    assert first.shape == (50, 4) and first.dtype == "float32"
    np.testing.assert_array_equal(first, sampler.sample(50, seed=1))
    np.testing.assert_array_equal(first[:8], sampler.sample(8, seed=1))
    others = [first, sampler.sample(50, seed=2), sampler.sample(50), sampler.sample(50)]
    assert len(np.unique(np.concatenate(others), axis=0)) == 200


def test_numbers_stay_the_same_across_versions():
    # Printed once by TensorFlow 2.21: seeds that users have noted down must keep their images.
    drawn = StandardNormalSampler(2).sample_from_seeds([0, 1])
    expected = [[-1.3544159, 0.7045491], [0.3052047, 0.5671378]]
    np.testing.assert_allclose(drawn, expected, rtol=1e-6)


@pytest.mark.parametrize("drawn_from", ["consecutive seeds", "one seed"])
def test_rows_are_independent_and_standard_normal(drawn_from):
    num_samples, dim = 20_000, 3
    sampler = StandardNormalSampler(dim)
    if drawn_from == "one seed":
        rows = sampler.sample(num_samples, seed=0).numpy()
    else:
        rows = sampler.sample_from_seeds(np.arange(num_samples)).numpy()
    assert scipy.stats.kstest(rows.ravel(), "norm").pvalue > 1e-3
    # A correlation of independent values has the standard deviation 1 / sqrt(num_samples).
    neighbours = np.concatenate([rows[:-1], rows[1:]], axis=1)
    correlations = np.corrcoef(neighbours.T) - np.eye(2 * dim)
    assert np.abs(correlations).max() < 5 / np.sqrt(num_samples)


def test_rank_and_type_of_seeds_are_checked(sampler):
    with pytest.raises(ValueError, match=r"shape=\(1, 2\), dtype=int32"):
        sampler.sample_from_seeds([[1, 2]])
    with pytest.raises(ValueError, match=r"shape=\(\), dtype=int32"):
        sampler.sample_from_seeds(3)
    with pytest.raises(ValueError, match=r"shape=\(1,\), dtype=float32"):
        sampler.sample_from_seeds([1.0])


@pytest.mark.parametrize(
    ("arguments", "error", "received"),
    [
        ((0, 1), ValueError, "num_samples=0"),
        ((-3, 1), ValueError, "num_samples=-3"),
        ((2.5, 1), TypeError, "num_samples=2.5 of type float"),
        ((1, -1), ValueError, "seed=-1"),
        ((1, 2**63), ValueError, f"seed={2**63}"),
        ((1, 0.5), TypeError, "seed=0.5 of type float"),
    ],
)
def test_arguments_of_sample_are_checked(sampler, arguments, error, received):
    num_samples, seed = arguments
    with pytest.raises(error, match=f"Received: {received}"):
        sampler.sample(num_samples, seed=seed)


def test_streams_of_the_same_seeds_are_independent():
    keys = row_keys(np.arange(20_000))
    draw = tf.function(normal_rows)
    first, second = (draw(keys, 2, stream).numpy() for stream in (0, 1))
    np.testing.assert_array_equal(first, draw(keys, 2))
    correlations = np.corrcoef(np.concatenate([first, second], axis=1).T)[:2, 2:]
    assert np.abs(correlations).max() < 0.03
    assert scipy.stats.kstest(second.ravel(), "norm").pvalue > 0.01
