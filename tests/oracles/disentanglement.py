"""Disentanglement scores in NumPy float64, written from the papers with plain loops."""

import math

import numpy as np
from scipy import optimize


def histogram_information(code, factor, num_bins=20):
    """I(code; factor) in nats, the code in bins of equal width, summed over the joint table."""
    values = sorted(set(factor))
    edges = [*np.histogram(code, num_bins)[1][:-1], np.inf]
    information = 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        in_bin = (code >= low) & (code < high)
        for value in values:
            joint = np.mean(in_bin & (factor == value))
            if joint > 0:
                information += joint * math.log(joint / (in_bin.mean() * np.mean(factor == value)))
    return information


def entropy(factor):
    return -sum(math.log(p) * p for p in (np.mean(factor == v) for v in set(factor)))


def information_table(codes, factors):
    return np.array([[histogram_information(c, f) for f in factors.T] for c in codes.T])


def mutual_information_gap(codes, factors):
    table, gaps = information_table(codes, factors), []
    for j, factor in enumerate(factors.T):
        first, second, *_ = sorted(table[:, j], reverse=True)
        gaps.append((first - second) / entropy(factor))
    return np.mean(gaps)


def modularity(codes, factors):
    scores = []
    for row in information_table(codes, factors):
        best = max(row)
        deviation = sum(v**2 for v in row) - best**2
        scores.append(1 - deviation / (best**2 * (len(row) - 1)) if best > 0 else 0.0)
    return np.mean(scores)


def irs(codes, factors, quantile):
    weights, best = [], []
    for code in codes.T:
        largest = max(abs(code - code.mean()))
        scores = []
        for factor in factors.T:
            moved = []
            for value in set(factor):
                group = code[factor == value]
                moved.append(np.quantile(abs(group - group.mean()), quantile))
            scores.append(1 - np.mean(moved) / largest)
        weights.append(largest)
        best.append(max(scores))
    return np.average(best, weights=weights)


def svc_accuracy(train_code, train_factor, test_code, test_factor, c=0.01):
    """One-vs-rest squared hinge of one code, balanced classes; liblinear penalises the bias too."""
    values = np.unique(train_factor)
    decisions = []
    for value in values[1:] if len(values) == 2 else values:
        sign = np.where(train_factor == value, 1.0, -1.0)
        counts = [np.sum(train_factor == v) for v in values]
        balance = {
            v: len(train_factor) / (len(values) * n) for v, n in zip(values, counts, strict=True)
        }
        # Each class has its weight in the problem of that class only; the rest weighs 1, unless
        # there are two classes.
        rest = balance[values[0]] if len(values) == 2 else 1.0
        weight = np.where(sign > 0, balance[value], rest)

        def objective(w, sign=sign, weight=weight):
            margin = np.maximum(0, 1 - sign * (w[0] * train_code + w[1]))
            slope = -2 * c * weight * margin * sign
            gradient = np.array([w[0] + slope @ train_code, w[1] + slope.sum()])
            return (w @ w) / 2 + c * np.sum(weight * margin**2), gradient

        w = optimize.minimize(objective, np.zeros(2), jac=True, tol=1e-12).x
        decisions.append(w[0] * test_code + w[1])
    if len(values) == 2:
        predicted = values[(decisions[0] > 0).astype(int)]
    else:
        predicted = values[np.argmax(decisions, axis=0)]
    return np.mean(predicted == test_factor)


def factor_vae_votes(encode, sizes, num_votes, batch_size, variances, rng):
    """A table (code, factor) of votes, from factors drawn afresh for every batch."""
    votes = np.zeros((len(variances), len(sizes)))
    for _ in range(num_votes):
        fixed = rng.integers(len(sizes))
        factors = np.stack([rng.integers(0, size, batch_size) for size in sizes], axis=1)
        factors[:, fixed] = factors[0, fixed]
        codes = encode(factors)
        votes[np.argmin(codes.var(axis=0, ddof=1) / variances), fixed] += 1
    return votes


def factor_vae_accuracy(train, test):
    """The share of test votes that go to the factor which a code got most train votes for."""
    right = 0
    for train_row, test_row in zip(train, test, strict=True):
        right += test_row[np.argmax(train_row)]
    return right / test.sum()


def beta_vae_points(encode, sizes, num_points, batch_size, rng):
    """Mean absolute differences of pairs that share a factor, and which factor it was."""
    points, labels = [], []
    for _ in range(num_points):
        fixed = rng.integers(len(sizes))
        first, second = (
            np.stack([rng.integers(0, size, batch_size) for size in sizes], axis=1)
            for _ in range(2)
        )
        second[:, fixed] = first[:, fixed]
        points.append(np.abs(encode(first) - encode(second)).mean(axis=0))
        labels.append(fixed)
    return np.array(points), np.array(labels)


def lasso(inputs, target, alpha, num_sweeps=5_000):
    """Coordinate descent on 1/(2n) |y - X w|^2 + alpha |w|_1, with an intercept."""
    inputs, target = inputs - inputs.mean(axis=0), target - target.mean()
    weights = np.zeros(inputs.shape[1])
    for _ in range(num_sweeps):
        before = weights.copy()
        for i, column in enumerate(inputs.T):
            slope = column @ (target - inputs @ weights + column * weights[i]) / len(target)
            shrunk = math.copysign(max(abs(slope) - alpha, 0), slope)
            weights[i] = shrunk / np.mean(column**2)
        if np.abs(weights - before).max() < 1e-15:
            break
    return weights


def rank_correlation(first, second):
    """Spearman's: the correlation of ranks, of which equal values share the mean."""

    def ranks(values):
        return np.array([np.mean(np.flatnonzero(np.sort(values) == v)) for v in values])

    return np.corrcoef(ranks(first), ranks(second))[0, 1]


def relative_strength(similarities):
    """UDR of a pair of runs: over the latents of both, max^2 / sum of the others' similarities."""
    terms = []
    for table in (similarities, similarities.T):
        for row in table:
            terms.append(max(row) ** 2 / sum(row) if sum(row) > 0 else 0.0)
    return np.mean(terms)


def udr(runs, similarity):
    """The score of every run, from latents that are all alive."""
    runs = [(run - run.mean(axis=0)) / run.std(axis=0) for run in runs]
    scores = []
    for i, run in enumerate(runs):
        agreements = []
        for j, peer in enumerate(runs):
            if i == j:
                continue
            if similarity == "lasso":
                alike = np.abs([lasso(peer, column, 0.1) for column in run.T]).T
            else:
                alike = np.abs([[rank_correlation(p, c) for c in run.T] for p in peer.T])
            agreements.append(relative_strength(alike))
        scores.append(np.median(agreements))
    return scores


def neighbour_information(code, factor, k):
    """I(code; factor) in nats, code continuous: Ross 2014, by all distances.

    Samples that are alone with their value are left out.
    """
    from scipy.special import digamma

    counts = {value: np.sum(factor == value) for value in set(factor)}
    kept = np.array([counts[value] > 1 for value in factor])
    code, factor = code[kept], factor[kept]
    terms = []
    for point, value in zip(code, factor, strict=True):
        distances = np.abs(code - point)
        neighbours = min(k, counts[value] - 1)
        # The point itself is at distance 0, the first of the sorted ones.
        radius = np.sort(distances[factor == value])[neighbours]
        inside = np.sum(distances < radius)
        terms.append(digamma(neighbours) - digamma(counts[value]) - digamma(inside))
    return max(0.0, digamma(len(code)) + np.mean(terms))


def preference(table):
    """Mean over the rows of the largest share, from 0 (all equal) to 1."""
    num_shares = table.shape[1]
    shares = [max(row) / sum(row) if sum(row) > 0 else 1 / num_shares for row in table]
    return (np.mean(shares) - 1 / num_shares) / (1 - 1 / num_shares)


def logistic_probabilities(inputs, classes, new_inputs, penalty, balanced):
    """Of the multinomial fit with `penalty / 2 * |weights|^2`, the intercepts left out."""
    num_classes = classes.max() + 1
    observed = np.eye(num_classes)[classes]
    weight = np.ones(len(classes))
    if balanced:
        weight = (len(classes) / (num_classes * np.bincount(classes)))[classes]

    def log_probabilities(flat, inputs):
        table = flat.reshape(-1, num_classes)
        scores = inputs @ table[1:] + table[0]
        scores = scores - scores.max(axis=1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    def objective(flat):
        log_p = log_probabilities(flat, inputs)
        errors = weight[:, None] * (np.exp(log_p) - observed)
        weights = flat.reshape(-1, num_classes)[1:]
        slopes = inputs.T @ errors + penalty * weights
        loss = -np.sum(weight[:, None] * observed * log_p) + penalty / 2 * np.sum(weights**2)
        return loss, np.concatenate([errors.sum(axis=0), slopes.ravel()])

    start = np.zeros((inputs.shape[1] + 1) * num_classes)
    fitted = optimize.minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-6}).x
    return np.exp(log_probabilities(fitted, new_inputs))


def area_under_curve(scores, positive):
    """How often a positive sample has the higher score than a negative one; ties count half."""
    above, below = scores[positive][:, None], scores[~positive]
    return np.mean((above > below) + 0.5 * (above == below))
