"""DCI in NumPy float64, written from the papers with plain loops over factors and codes."""

import math

import numpy as np


def parts(num_samples, fractions, seed):
    """The protocol of the package: a permutation, cut at rounded counts."""
    order = np.random.default_rng(seed).permutation(num_samples)
    train = round(num_samples * fractions[0])
    validation = round(num_samples * fractions[1])
    return order[:train], order[train : train + validation], order[train + validation :]


def scale_by(array, train):
    """Mean 0 and deviation 1 on the train rows; columns without deviation are left at 0."""
    result = np.zeros(array.shape)
    for column in range(array.shape[1]):
        reference = array[train, column]
        if reference.max() > reference.min():
            result[:, column] = (array[:, column] - reference.mean()) / reference.std()
    return result


def group_lasso(inputs, targets, alpha, num_sweeps=2_000):
    """Coordinate descent on 1/(2n) |Y - X W|^2 + alpha sum_i |W_i|, with an intercept.

    Returns W `(num_inputs, num_targets)`; with one target it is the Lasso.
    """
    inputs, targets = inputs - inputs.mean(axis=0), targets - targets.mean(axis=0)
    num_samples, num_inputs = inputs.shape
    weights = np.zeros((num_inputs, targets.shape[1]))
    for _ in range(num_sweeps):
        before = weights.copy()
        for i in range(num_inputs):
            curvature = inputs[:, i] @ inputs[:, i] / num_samples
            if curvature == 0:
                continue
            residual = targets - inputs @ weights + np.outer(inputs[:, i], weights[i])
            slope = inputs[:, i] @ residual / num_samples
            length = np.linalg.norm(slope)
            weights[i] = 0 if length <= alpha else slope * (1 - alpha / length) / curvature
        if np.abs(weights - before).max() < 1e-14:
            break
    return weights


def nrmse(predicted, target):
    """Of one target: root mean squared error over the deviation of the target."""
    return math.sqrt(np.mean((predicted - target) ** 2)) / target.std()


def total_nrmse(predicted, targets):
    """Of several targets of one factor: the squared errors and the variances are added up."""
    error = variance = 0.0
    for j in range(targets.shape[1]):
        error += np.mean((predicted[:, j] - targets[:, j]) ** 2)
        variance += np.mean((targets[:, j] - targets[:, j].mean()) ** 2)
    return math.sqrt(error / variance)


def entropy_score(weights, base):
    """1 - H_base of the shares; None if there are none."""
    total = sum(weights)
    if total == 0:
        return None
    return 1 + sum(w / total * math.log(w / total) / math.log(base) for w in weights if w > 0)


def disentanglement(importances):
    num_codes, num_factors = importances.shape
    result = 0.0
    for i in range(num_codes):
        score = entropy_score(importances[i], num_factors)
        result += 0.0 if score is None else importances[i].sum() / importances.sum() * score
    return result


def completeness(importances, weighted=False):
    num_codes, num_factors = importances.shape
    scores = [entropy_score(importances[:, j], num_codes) or 0.0 for j in range(num_factors)]
    if not weighted:
        return sum(scores) / num_factors
    return sum(s * importances[:, j].sum() for j, s in enumerate(scores)) / importances.sum()


def lasso(codes, factors, seed, alpha=0.02):
    """Importances and NRMSE per factor of Eastwood and Williams' Lasso recipe."""
    train, _, test = parts(len(codes), (0.8, 0.1, 0.1), seed)
    codes, factors = scale_by(codes, train), scale_by(factors, train)
    importances, errors = [], []
    for j in range(factors.shape[1]):
        weights = group_lasso(codes[train], factors[train, j : j + 1], alpha)[:, 0]
        intercept = np.mean(factors[train, j] - codes[train] @ weights)
        importances.append(np.abs(weights))
        errors.append(nrmse(codes[test] @ weights + intercept, factors[test, j]))
    return np.array(importances).T, np.array(errors)


def forest(codes, factors, seed, depths):
    """Importances, NRMSE and depth per factor: forests of 10 trees, and of these depths the one
    with the least error on the validation part, the smaller of equal ones."""
    from sklearn.ensemble import RandomForestRegressor

    train, validation, test = parts(len(codes), (0.8, 0.1, 0.1), seed)
    codes, factors = scale_by(codes, train), scale_by(factors, train)
    importances, errors, chosen = [], [], []
    for j in range(factors.shape[1]):
        best = None
        for depth in depths:
            trees = RandomForestRegressor(n_estimators=10, max_depth=depth, random_state=seed)
            trees.fit(codes[train], factors[train, j])
            error = nrmse(trees.predict(codes[validation]), factors[validation, j])
            if best is None or error < best[0]:
                best = error, depth, trees
        chosen.append(best[1])
        importances.append(impurity_importances(best[2]))
        errors.append(nrmse(best[2].predict(codes[test]), factors[test, j]))
    return np.array(importances).T, np.array(errors), chosen


def impurity_importances(trees):
    """Squared error that the splits on a code remove: shares per tree, averaged over the trees."""
    result = np.zeros(trees.n_features_in_)
    for estimator in trees.estimators_:
        removed = tree_importances(estimator.tree_, trees.n_features_in_)
        if removed.sum() > 0:
            result += removed / removed.sum()
    return result / result.sum() if result.sum() > 0 else result


def tree_importances(tree, num_codes):
    """Squared error removed by each code in one tree of scikit-learn, from its table of nodes."""
    error = tree.impurity * tree.weighted_n_node_samples
    removed = np.zeros(num_codes)
    for node in range(tree.node_count):
        left, right = tree.children_left[node], tree.children_right[node]
        if left >= 0:
            removed[tree.feature[node]] += error[node] - error[left] - error[right]
    return removed


def angle_targets(column, period, start=0.0):
    """(cos, sin) of an angle that counts from `start`."""
    return np.array(
        [
            [math.cos(2 * math.pi * (v - start) / period) for v in column],
            [math.sin(2 * math.pi * (v - start) / period) for v in column],
        ]
    ).T


def indicator_targets(column):
    return np.array([[float(v == value) for v in column] for value in sorted(set(column))]).T


def lasso_of_targets(codes, targets, seed, alpha=0.02):
    """Importances and NRMSE of one factor with several targets: the group Lasso.

    The targets keep their proportions and get a total variance of 1 on the train part.
    """
    train, _, test = parts(len(codes), (0.8, 0.1, 0.1), seed)
    codes = scale_by(codes, train)
    centre = targets[train].mean(axis=0)
    targets = (targets - centre) / math.sqrt(
        sum(targets[train, j].var() for j in range(len(centre)))
    )
    weights = group_lasso(codes[train], targets[train], alpha)
    predicted = codes[test] @ weights + (targets[train] - codes[train] @ weights).mean(axis=0)
    lengths = np.array([math.sqrt(sum(w**2 for w in row)) for row in weights])
    return lengths, total_nrmse(predicted, targets[test])


def forest_of_targets(codes, targets, seed, depth):
    """The same with a forest of trees that predict all targets at once."""
    from sklearn.ensemble import RandomForestRegressor

    train, _, test = parts(len(codes), (0.8, 0.1, 0.1), seed)
    codes = scale_by(codes, train)
    trees = RandomForestRegressor(n_estimators=10, max_depth=depth, random_state=seed)
    trees.fit(codes[train], targets[train])
    return impurity_importances(trees), total_nrmse(trees.predict(codes[test]), targets[test])
