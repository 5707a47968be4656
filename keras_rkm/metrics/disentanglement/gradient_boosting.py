"""Gradient-boosted trees on binned latents: scikit-learn's recipe, and its importances, faster."""

from typing import NamedTuple

import numpy as np

from .tree_growing import Stage, grow_trees, of_node, sort_into_bins


class BoostedTrees(NamedTuple):
    """A fitted classifier; `importances` `(num_features,)` are shares of the impurity removed."""

    num_classes: int
    prior: np.ndarray
    stages: list[Stage]
    importances: np.ndarray

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Int array `(n,)`, the classes of `inputs` `(n, num_features)`."""
        scores = self.scores(inputs)
        return (scores[:, 0] > 0).astype(int) if self.num_classes == 2 else scores.argmax(axis=1)

    def scores(self, inputs: np.ndarray) -> np.ndarray:
        """Log odds `(n, 1)` of the second of two classes, or logits `(n, num_classes)`."""
        scores = np.tile(self.prior, (len(inputs), 1))
        for stage in self.stages:
            scores += of_node(stage.values, stage.leaves(inputs))
        return scores


def fit_boosted_trees(
    inputs: np.ndarray,
    classes: np.ndarray,
    *,
    num_stages: int = 100,
    learning_rate: float = 0.1,
    max_depth: int = 3,
    max_bins: int = 1023,
    seed: int = 0,
) -> BoostedTrees:
    """Fits what `sklearn.ensemble.GradientBoostingClassifier` fits, on binned inputs.

    The loss is the logistic or multinomial deviance, each stage grows a regression tree per class
    on its gradient by squared error, and a Newton step gives the values of its leaves [1]. The
    importance of a feature is the squared error that its splits remove, as scikit-learn's
    `feature_importances_`. With `max_bins` at least the number of distinct values, the trees are
    the same but for ties. With fewer, a split can only stand between two bins of equal
    frequency: histograms then take the place of sorting in every node, for all classes at once.

    `HistGradientBoostingClassifier` is no substitute, since it has no impurity importances.

    Args:
        inputs: Float array `(n, num_features)`.
        classes: Int array `(n,)` of 0 ... num_classes - 1, each of which occurs.
        num_stages, learning_rate, max_depth: As scikit-learn's `n_estimators`, `learning_rate`
            and `max_depth`, and with its defaults.
        max_bins: Int, per feature.
        seed: Int, of the order in which features are looked at. Small nodes of a late stage can
            be split equally well by several features; the first of the order is taken.

    Returns:
        A `BoostedTrees`.

    Example:

    >>> from keras_rkm.metrics.disentanglement.gradient_boosting import fit_boosted_trees
    >>> inputs = np.random.default_rng(0).normal(size=(500, 3))
    >>> fitted = fit_boosted_trees(inputs, (inputs[:, 1] > 0).astype(int))
    >>> fitted.importances.round(3), int(fitted.predict(np.array([[0.0, 1.0, 0.0]]))[0])
    (array([0., 1., 0.]), 1)

    References:
        [1] J. H. Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", Annals of
            Statistics 29, 2001.
    """
    binned = sort_into_bins(inputs, max_bins)
    num_classes = int(classes.max()) + 1
    observed, prior = _start(classes, num_classes)
    scores = np.tile(prior, (len(inputs), 1))
    importances, stages = np.zeros(inputs.shape[1]), []
    generator = np.random.default_rng(seed)
    for _ in range(num_stages):
        probabilities = _probabilities(scores)
        residuals = observed - probabilities
        stage, nodes, removed = grow_trees(binned, residuals, max_depth, generator)
        values = _leaf_values(nodes, observed, probabilities, 2**max_depth, num_classes)
        stages.append(stage._replace(values=learning_rate * values))
        scores += of_node(stages[-1].values, nodes)
        importances += removed
    total = importances.sum()
    return BoostedTrees(
        num_classes, prior, stages, importances / total if total > 0 else importances
    )


def _start(classes: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Indicators of the classes, one tree each (a single one for two classes), and log odds."""
    if num_classes == 2:
        share = classes.mean()
        return classes[:, None].astype(np.float64), np.array([np.log(share / (1 - share))])
    observed = (classes[:, None] == np.arange(num_classes)).astype(np.float64)
    return observed, np.log(observed.mean(axis=0))


def _probabilities(scores: np.ndarray) -> np.ndarray:
    from scipy import special

    return special.expit(scores) if scores.shape[1] == 1 else special.softmax(scores, axis=1)


def _leaf_values(nodes, observed, probabilities, num_leaves, num_classes) -> np.ndarray:
    """The Newton step of every leaf, `(num_leaves, num_trees)`."""
    num_trees = nodes.shape[1]
    flat = (nodes * num_trees + np.arange(num_trees)).ravel()

    def total(columns):
        return np.bincount(flat, columns.ravel(), num_leaves * num_trees)

    slope, curvature = total(observed - probabilities), total(probabilities * (1 - probabilities))
    factor = 1.0 if num_classes == 2 else (num_classes - 1) / num_classes
    negligible = curvature < 1e-150
    step = np.where(negligible, 0.0, factor * slope / np.where(negligible, 1, curvature))
    return step.reshape(num_leaves, num_trees)
