"""The mathematics of variational auto-encoders with a diagonal Gaussian posterior.

Throughout `mean`, `log_variance` and `latents` are tensors `(batch, latent_dim)`.
"""

import math

import tensorflow as tf

# Of the density exp(-c z^4) / Z. Its variance is Gamma(3/4) / (Gamma(1/4) sqrt(c)), here 1.
QUARTIC_COEFFICIENT = (math.gamma(3 / 4) / math.gamma(1 / 4)) ** 2  # 0.1142
_QUARTIC_LOG_NORMALIZER = math.log(2 * math.gamma(5 / 4)) - math.log(QUARTIC_COEFFICIENT) / 4
_LOG_TWO_PI = math.log(2 * math.pi)


def split_seed(noise_seed):
    """Makes two seeds of shape (2,) out of one."""
    return tf.unstack(tf.random.split(noise_seed, 2))


def sample(mean, log_variance, noise_seed, share):
    """Draws latents by the reparametrisation `mean + stddev * noise`.

    Args:
        mean: Of the posterior.
        log_variance: Of the posterior.
        noise_seed: Ints of shape (2,).
        share: A `keras_rkm._replicas.Share`, which rows of the batch these are.
    """
    noise = share.normal(mean.shape[-1], noise_seed, mean.dtype)
    return mean + tf.exp(0.5 * log_variance) * noise


def normal_divergence(mean, log_variance):
    """Returns KL(q || N(0, I)) of each image, `(batch,)`."""
    terms = tf.square(mean) + tf.exp(log_variance) - 1 - log_variance
    return 0.5 * tf.reduce_sum(terms, axis=-1)


def quartic_divergence(mean, log_variance):
    """Returns KL(q || p) of each image, `(batch,)`, for p(z) = exp(-c z^4) / Z in each latent.

    It is exact: the fourth moment of a Gaussian is m^4 + 6 m^2 s^2 + 3 s^4. Unlike the normal
    prior this one, of unit variance too, is not the same in every direction.
    """
    variance, squared_mean = tf.exp(log_variance), tf.square(mean)
    fourth_moment = tf.square(squared_mean) + 6 * squared_mean * variance + 3 * tf.square(variance)
    entropy = 0.5 * (_LOG_TWO_PI + 1 + log_variance)
    terms = QUARTIC_COEFFICIENT * fourth_moment + _QUARTIC_LOG_NORMALIZER - entropy
    return tf.reduce_sum(terms, axis=-1)


def normal_log_density(latents, mean, log_variance):
    """Returns the logarithm of the normal density of each latent, of the shape of all three."""
    squares = tf.square(latents - mean) * tf.exp(-log_variance)
    return -0.5 * (_LOG_TWO_PI + log_variance + squares)


def divergence_parts(latents, mean, log_variance, dataset_size, share):
    """Splits KL(q || N(0, I)) by minibatch-weighted sampling [1].

    In a batch of M images out of N the density of all latents together, `q(z)`, and those of single
    latents are estimated as `log q(z_i) = logsumexp_j log q(z_i | x_j) - log(N M)`.

    Args:
        latents: One draw from the posterior of each image.
        mean: Of the posteriors.
        log_variance: Of the posteriors.
        dataset_size: N, a scalar tensor.
        share: A `keras_rkm._replicas.Share`; the batch is that of all replicas.

    Returns:
        Scalars, this replica's shares of means over the batch: the mutual information of image and
        latents, the total correlation of the latents, the sum of the divergences of single latents.
        Their sum is a draw of the divergence.

    References:
        [1] R. T. Q. Chen, X. Li, R. Grosse, D. Duvenaud, "Isolating Sources of Disentanglement in
            Variational Autoencoders", NeurIPS 2018, arXiv:1802.04942.
    """
    batch_size = tf.cast(share.num_rows, latents.dtype)
    log_weight = -tf.math.log(batch_size * dataset_size)
    # (batch of latents, batch of posteriors, latent_dim)
    posteriors = share.gather(mean), share.gather(log_variance)
    pairs = normal_log_density(latents[:, tf.newaxis], *posteriors)
    log_joint = tf.reduce_logsumexp(tf.reduce_sum(pairs, axis=-1), axis=1) + log_weight
    log_marginals = tf.reduce_sum(tf.reduce_logsumexp(pairs, axis=1) + log_weight, axis=-1)
    log_posterior = tf.reduce_sum(normal_log_density(latents, mean, log_variance), axis=-1)
    zeros = tf.zeros_like(latents)
    log_prior = tf.reduce_sum(normal_log_density(latents, zeros, zeros), axis=-1)
    parts = log_posterior - log_joint, log_joint - log_marginals, log_marginals - log_prior
    return tuple(map(share.mean, parts))


def permute_latents(latents, noise_seed):
    """Permutes each latent over the batch by itself, which makes latents independent.

    Args:
        latents: `(batch, latent_dim)`.
        noise_seed: Ints of shape (2,).
    """
    columns = tf.transpose(latents)
    order = tf.argsort(tf.random.stateless_uniform(tf.shape(columns), noise_seed), axis=-1)
    return tf.transpose(tf.gather(columns, order, batch_dims=1))
