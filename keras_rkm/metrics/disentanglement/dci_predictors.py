"""The predictors of factors from latents that DCI is computed from, one factor at a time."""

from typing import NamedTuple

import numpy as np

from .gradient_boosting import fit_boosted_trees
from .inputs import standardise
from .parts import Parts

LASSO_ALPHA = 0.02
NUM_TREES = 10
# The authors' published tuning ended at depths of 10 and 12, which lie inside this range.
DEPTHS = (2, 4, 6, 8, 10, 12, 14)


class Fit(NamedTuple):
    """`importances` `(num_latents,)` are >= 0; `informativeness` is an NRMSE or an accuracy."""

    importances: np.ndarray
    informativeness: float
    depth: int | None = None


def fit_lasso(latents: np.ndarray, targets: np.ndarray, parts: Parts) -> Fit:
    """Linear regression with an L1 penalty: importances are absolute coefficients.

    Several targets, (cos, sin) of an angle, share a group penalty; the importance is then the norm
    of a latent's coefficients. Neither depends on where the angle starts.
    """
    from sklearn.linear_model import Lasso, MultiTaskLasso

    latents, targets = _standardised(latents, targets, parts)
    lasso = Lasso if targets.shape[1] == 1 else MultiTaskLasso
    # Solved to the last digits: the scores are those of the definition, not of a tolerance.
    model = lasso(alpha=LASSO_ALPHA, tol=1e-12, max_iter=100_000)
    model.fit(latents[parts.train], _squeezed(targets[parts.train]))
    importances = np.linalg.norm(np.atleast_2d(model.coef_), axis=0)
    return Fit(importances, _nrmse(model, latents, targets, parts.test))


def fit_random_forest(
    latents: np.ndarray, targets: np.ndarray, parts: Parts, *, max_depth: int | str, seed: int
) -> Fit:
    """A forest of regression trees; `max_depth` `"validation"` tries `DEPTHS` on that part."""
    latents, targets = _standardised(latents, targets, parts)

    def grow(depth):
        return _forest(latents[parts.train], _squeezed(targets[parts.train]), depth, seed)

    if max_depth != "validation":
        model = grow(max_depth)
    else:
        forests = {depth: grow(depth) for depth in DEPTHS}
        max_depth = min(
            DEPTHS, key=lambda depth: _nrmse(forests[depth], latents, targets, parts.validation)
        )
        model = forests[max_depth]
    error = _nrmse(model, latents, targets, parts.test)
    return Fit(model.feature_importances_, error, max_depth)


def fit_gradient_boosting(
    latents: np.ndarray, classes: np.ndarray, parts: Parts, *, seed: int
) -> Fit:
    """Boosted trees on binned latents that classify the values of a factor."""
    known, labels = np.unique(classes[parts.train], return_inverse=True)
    model = fit_boosted_trees(latents[parts.train], labels, seed=seed)
    predicted = known[model.predict(latents[parts.test])]
    return Fit(model.importances, float(np.mean(predicted == classes[parts.test])))


def fit_gradient_boosting_exact(
    latents: np.ndarray, classes: np.ndarray, parts: Parts, *, seed: int
) -> Fit:
    """The same by scikit-learn, which sorts every latent in every node."""
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(random_state=seed)
    model.fit(latents[parts.train], classes[parts.train])
    accuracy = model.score(latents[parts.test], classes[parts.test])
    return Fit(model.feature_importances_, float(accuracy))


def _forest(latents: np.ndarray, targets: np.ndarray, max_depth: int, seed: int):
    from sklearn.ensemble import RandomForestRegressor

    # One thread: with more, those of joblib's configuration, the trees are added in any order.
    forest = RandomForestRegressor(NUM_TREES, max_depth=max_depth, random_state=seed, n_jobs=1)
    return forest.fit(latents, targets)


def _standardised(latents: np.ndarray, targets: np.ndarray, parts: Parts) -> tuple:
    """By the training part; several targets of one factor get a total variance of 1."""
    latents = standardise(latents, latents[parts.train])
    train = targets[parts.train]
    scale = np.sqrt(train.var(axis=0).sum())
    return latents, (targets - train.mean(axis=0)) / scale


def _squeezed(targets: np.ndarray) -> np.ndarray:
    return targets[:, 0] if targets.shape[1] == 1 else targets


def _nrmse(model, latents: np.ndarray, targets: np.ndarray, rows: np.ndarray) -> float:
    """Root of the squared error over that of the best constant; 1 knows nothing."""
    errors = model.predict(latents[rows]).reshape(len(rows), -1) - targets[rows]
    return float(np.sqrt(np.mean(np.sum(errors**2, axis=1)) / targets[rows].var(axis=0).sum()))
