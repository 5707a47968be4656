"""Boosted trees on bins against scikit-learn's, which sort the values in every node."""

import numpy as np
import pytest

from keras_rkm.metrics.disentanglement.gradient_boosting import fit_boosted_trees


def _case(num_samples, num_features, num_classes, seed=0, steps=None):
    """Unequal classes by a noisy direction; scikit-learn takes features in float32."""
    generator = np.random.default_rng(seed)
    inputs = generator.uniform(-2, 2, size=(num_samples, num_features))
    if steps:
        inputs = np.round(inputs * steps) / steps
    direction = np.random.default_rng(9).normal(size=num_features)
    score = inputs @ direction + 3 * generator.normal(size=num_samples)
    edges = np.quantile(score, (np.arange(1, num_classes) / num_classes) ** 1.3)
    return inputs.astype(np.float32).astype(np.float64), np.digitize(score, edges)


def _scikit_learn(inputs, classes, **arguments):
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(random_state=0, **arguments).fit(inputs, classes)


def _centred(scores):
    """Logits are free up to a constant per sample."""
    scores = scores.reshape(len(scores), -1)
    return scores - scores.mean(axis=1, keepdims=True) if scores.shape[1] > 1 else scores


# Few stages and much noise: nodes of few samples are split equally well by several features.
@pytest.mark.parametrize(
    ("num_classes", "steps", "num_stages", "arguments"),
    [
        (2, None, 12, {}),
        (3, None, 2, {}),
        (4, None, 6, {"max_depth": 2}),
        (9, 2, 6, {"max_depth": 2}),
        (4, 2, 10, {"max_depth": 2, "learning_rate": 0.4}),
        (3, None, 40, {"max_depth": 1}),
    ],
)
def test_is_scikit_learns_classifier_with_a_bin_per_value(
    num_classes, steps, num_stages, arguments
):
    inputs, classes = _case(1_500, 4, num_classes, steps=steps)
    fitted = fit_boosted_trees(inputs, classes, num_stages=num_stages, max_bins=1_500, **arguments)
    exact = _scikit_learn(inputs, classes, n_estimators=num_stages, **arguments)
    np.testing.assert_allclose(fitted.importances, exact.feature_importances_, atol=1e-10)
    # New values fall between those of the training, where it counts what a threshold is.
    new, _ = _case(2_000, 4, num_classes, seed=1)
    for points in (inputs, new):
        np.testing.assert_allclose(
            _centred(fitted.scores(points)), _centred(exact.decision_function(points)), atol=1e-9
        )
        assert np.array_equal(fitted.predict(points), exact.predict(points))


def test_every_tree_has_the_splits_of_scikit_learns():
    inputs, classes = _case(900, 4, 5)
    fitted = fit_boosted_trees(inputs, classes, num_stages=4, max_depth=2)
    exact = _scikit_learn(inputs, classes, n_estimators=4, max_depth=2)
    for stage, trees in zip(fitted.stages, exact.estimators_, strict=True):
        for index, estimator in enumerate(trees):
            tree = estimator.tree_
            nodes = [0]
            for features, thresholds in zip(stage.features, stage.thresholds, strict=True):
                assert features[:, index].tolist() == tree.feature[nodes].tolist()
                np.testing.assert_allclose(thresholds[:, index], tree.threshold[nodes], rtol=1e-6)
                nodes = np.stack([tree.children_left[nodes], tree.children_right[nodes]], 1).ravel()
            np.testing.assert_allclose(
                stage.values[:, index], 0.1 * tree.value[nodes, 0, 0], atol=1e-12
            )


def test_fewer_bins_than_values_change_importances_little():
    inputs, classes = _case(3_000, 4, 4)
    exact = _scikit_learn(inputs, classes, n_estimators=30)
    new, truth = _case(3_000, 4, 4, seed=1)
    for max_bins, tolerance in ((1_023, 0.015), (64, 0.03)):
        fitted = fit_boosted_trees(inputs, classes, num_stages=30, max_bins=max_bins)
        np.testing.assert_allclose(fitted.importances, exact.feature_importances_, atol=tolerance)
        accuracies = [np.mean(model.predict(new) == truth) for model in (fitted, exact)]
        assert accuracies[0] == pytest.approx(accuracies[1], abs=0.02)
    # The bins are of equal frequency: outliers take none from the others.
    inputs[:3] *= 1e6
    with_outliers = fit_boosted_trees(inputs, classes, num_stages=30, max_bins=64)
    np.testing.assert_allclose(with_outliers.importances, exact.feature_importances_, atol=0.05)


def test_two_equal_features_share_importance_evenly():
    inputs, classes = _case(600, 1, 3)
    fitted = fit_boosted_trees(np.repeat(inputs, 2, axis=1), classes)
    assert fitted.importances.tolist() == pytest.approx([0.5, 0.5], abs=0.1)
    single = fit_boosted_trees(inputs, classes)
    points = np.linspace(-3, 3, 200)[:, None]
    np.testing.assert_allclose(
        fitted.scores(np.repeat(points, 2, axis=1)), single.scores(points), atol=1e-9
    )


def test_constant_features_get_no_importance_and_the_most_frequent_class():
    classes = np.repeat([0, 1, 2], [10, 20, 15])
    fitted = fit_boosted_trees(np.zeros((45, 2)), classes, num_stages=3)
    assert fitted.importances.tolist() == [0, 0]
    assert fitted.predict(np.array([[-5.0, 3.0], [0.0, 0.0]])).tolist() == [1, 1]
    inputs, classes = _case(300, 3, 3)
    inputs[:, 1] = 0.1
    assert fit_boosted_trees(inputs, classes, num_stages=20).importances[1] == 0


def test_pure_leaves_stay_finite():
    inputs = np.repeat(np.arange(4.0), 50)[:, None] * np.ones((1, 2))
    fitted = fit_boosted_trees(inputs, np.repeat(np.arange(4), 50), num_stages=300)
    assert np.isfinite(fitted.scores(inputs)).all()
    assert np.isfinite(fitted.importances).all()
    assert fitted.predict(inputs).tolist() == np.repeat(np.arange(4), 50).tolist()


def test_seed_orders_the_features():
    inputs, classes = _case(300, 3, 3)
    twice = np.repeat(inputs, 2, axis=1)
    first, again, other = (
        fit_boosted_trees(twice, classes, num_stages=10, seed=seed) for seed in (0, 0, 1)
    )
    assert first.importances.tobytes() == again.importances.tobytes()
    assert first.importances.tobytes() != other.importances.tobytes()
