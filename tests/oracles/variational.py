"""Variational auto-encoders and their kin in NumPy float64: loops, grids, and linear networks."""

import numpy as np

from tests.oracles import rkm

_GRID = np.linspace(-30, 30, 600_001)
_STEP = _GRID[1] - _GRID[0]


def normal_log_density(z, mean=0.0, variance=1.0):
    return -((z - mean) ** 2) / (2 * variance) - np.log(np.sqrt(2 * np.pi * variance))


def quartic_log_density(z, coefficient):
    """exp(-coefficient z^4), normalised by its sum over a grid."""
    normalizer = np.sum(np.exp(-coefficient * _GRID**4)) * _STEP
    return -coefficient * np.asarray(z) ** 4 - np.log(normalizer)


def variance_of(log_density):
    """Of a density with mean zero."""
    return np.sum(np.exp(log_density(_GRID)) * _GRID**2) * _STEP


def divergence(means, log_variances, prior_log_density):
    """KL(q || p) of each row by sums over a grid, one latent after the other."""
    prior = prior_log_density(_GRID)
    rows = np.zeros(len(means))
    for i in range(len(means)):
        for j in range(means.shape[1]):
            log_q = normal_log_density(_GRID, means[i, j], np.exp(log_variances[i, j]))
            rows[i] += np.sum(np.exp(log_q) * (log_q - prior)) * _STEP
    return rows


def log_sum_exp(values):
    largest = max(values)
    return largest + np.log(sum(np.exp(value - largest) for value in values))


def divergence_parts(latents, means, log_variances, dataset_size):
    """Minibatch-weighted sampling of arXiv:1802.04942: three terms, means over the batch."""
    batch, dim = latents.shape
    variances = np.exp(log_variances)
    information, total_correlation, dimension_wise = 0.0, 0.0, 0.0
    for i in range(batch):
        of_pair = [
            [normal_log_density(latents[i, d], means[j, d], variances[j, d]) for d in range(dim)]
            for j in range(batch)
        ]
        log_q_given_x = sum(of_pair[i])
        log_size = np.log(dataset_size * batch)
        log_q = log_sum_exp([sum(of_pair[j]) for j in range(batch)]) - log_size
        log_product = sum(
            log_sum_exp([of_pair[j][d] for j in range(batch)]) - log_size for d in range(dim)
        )
        log_p = sum(normal_log_density(latents[i, d]) for d in range(dim))
        information += (log_q_given_x - log_q) / batch
        total_correlation += (log_q - log_product) / batch
        dimension_wise += (log_product - log_p) / batch
    return information, total_correlation, dimension_wise


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def discriminator_loss(real_logits, fake_logits):
    """The cross-entropy, one half for each side."""
    real, fake = sigmoid(real_logits), sigmoid(fake_logits)
    return -0.5 * np.mean(np.log(real)) - 0.5 * np.mean(np.log(1 - fake))


def leaky_relu_network(x, weights, slope=0.2):
    """Kernels and biases in turn; the last layer is linear."""
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    for kernel, bias in layers[:-1]:
        x = x @ kernel + bias
        x = np.where(x > 0, x, slope * x)
    return x @ layers[-1][0] + layers[-1][1]


def linear(x, weights):
    kernel, bias = weights
    return x @ kernel + bias


def reconstruction_loss(images, latents, latents_to_features, decoder, loss):
    outputs = rkm.decode(linear(latents, latents_to_features), decoder)
    return rkm.error(images, outputs, loss).mean()
