"""The objective of the restricted kernel machine for linear networks, in NumPy float64."""

import numpy as np


def features(images, encoder_weights):
    kernel, bias = encoder_weights
    return images.reshape(len(images), -1) @ kernel + bias


def decode(projected, decoder_weights):
    kernel, bias = decoder_weights
    return 1 / (1 + np.exp(-(projected @ kernel + bias)))


def error(targets, outputs, loss):
    """Per image, summed over the pixels."""
    targets = targets.reshape(len(targets), -1)
    if loss == "mean_squared_error":
        return ((targets - outputs) ** 2).sum(axis=1)
    return -(targets * np.log(outputs) + (1 - targets) * np.log(1 - outputs)).sum(axis=1)


def objective(
    images, encoder_weights, decoder_weights, basis, *, mean=None, loss, centering, weight=1.0,
    mean_penalty=0.0, mode="deterministic", noise=None,
):  # fmt: skip
    """Returns the loss, the mean reconstruction loss and the mean PCA loss.

    `mean` is the mean of the features to centre with, that of the batch if None; `noise` is
    sigma * eps, of shape (batch, latent_dim).
    """
    phi = features(images, encoder_weights)
    mean = phi.mean(axis=0) if mean is None else mean
    projector = basis @ basis.T
    pca_loss = np.sum(((phi - mean) @ (np.eye(len(basis)) - projector)) ** 2, axis=1).mean()
    seen = (phi if centering == "none" else phi - mean) @ projector
    clean = decode(seen, decoder_weights)
    if mode == "deterministic":
        reconstruction_loss = error(images, clean, loss)
    else:
        noisy = decode(seen + noise @ basis.T, decoder_weights)
        reconstruction_loss = error(images, noisy, loss)
        if mode == "split":
            reconstruction_loss = error(images, clean, loss) + error(clean, noisy, loss)
    reconstruction_loss = reconstruction_loss.mean()
    penalty = mean_penalty * np.sum((basis.T @ mean) ** 2)
    return weight * reconstruction_loss + pca_loss + penalty, reconstruction_loss, pca_loss
