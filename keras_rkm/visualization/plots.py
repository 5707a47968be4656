"""Plots: the spectrum of the latents, training curves, and heat maps of matrices."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .figures import COLORS, clean, drawn, new_figure


def spectrum_plot(explained_variance_ratio) -> np.ndarray:
    """Draws the share of the variance of each axis as bars, and their running sum as a line.

    Args:
        explained_variance_ratio: Array of shape `(latent_dim,)` with values in [0, 1].

    Returns:
        A uint8 array of shape `(height, width, 3)`.

    Raises:
        ValueError: If the array is empty, not of rank 1, or a value is outside [0, 1].
    """
    from matplotlib.ticker import MaxNLocator

    ratio = np.asarray(explained_variance_ratio, dtype="float64")
    if ratio.ndim != 1 or ratio.size == 0:
        raise ValueError(
            "`explained_variance_ratio` must have the shape (latent_dim,). Received: shape "
            f"{ratio.shape}."
        )
    # Written so that NaN is refused too.
    if not (ratio.min() >= 0 and ratio.max() <= 1 + 1e-6):
        raise ValueError(
            "`explained_variance_ratio` must lie in [0, 1]. Received: values from "
            f"{ratio.min():.3g} to {ratio.max():.3g}. Divide the variances by their sum."
        )
    figure = new_figure(width=6.4, height=3.6)
    axes = figure.add_subplot()
    numbers = np.arange(1, ratio.size + 1)
    bars = axes.bar(numbers, 100 * ratio, color=COLORS[0], width=0.75, label="each axis")
    if ratio.size <= 16:
        axes.bar_label(bars, fmt="%.1f", fontsize=8, padding=2)
    total = 100 * np.cumsum(ratio)
    # From the second axis on: at the first it would cross out the number on the bar.
    axes.plot(numbers[1:], total[1:], color=COLORS[1], marker="o", markersize=3, label="together")
    axes.set(xlabel="axis", ylabel="explained variance, %")
    axes.set_xlim(0.4, ratio.size + 0.6)
    axes.set_ylim(0, 1.1 * max(total[-1], 1e-9))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16, min_n_ticks=1))
    axes.legend(frameon=False, fontsize=9, loc="center right")
    clean(axes)
    return drawn(figure)


def training_curves(history: Mapping[str, Sequence[float]]) -> np.ndarray:
    """Draws one panel per metric over the epochs, validation beside training.

    A metric that stays positive and spans more than a factor of 30 has a logarithmic scale. A
    `val_` series with fewer values than epochs is taken as evenly spaced (`validation_freq`).

    Args:
        history: Values per epoch by name, as in `keras.callbacks.History.history`; `val_loss`
            belongs to `loss`.

    Returns:
        A uint8 array of shape `(height, width, 3)`.

    Raises:
        ValueError: If there is nothing to draw.

    Example:

    >>> training_curves({"loss": [3.0, 2.0], "val_loss": [3.5, 2.5]}).shape
    (360, 624, 3)
    """
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    num_epochs = max((len(values) for values in history.values()), default=0)
    if num_epochs == 0:
        raise ValueError(
            "`history` must hold at least one epoch of one metric. Received: "
            f"{ {name: len(values) for name, values in history.items()} } values by name."
        )
    num_columns = min(len(names), 3)
    num_rows = math.ceil(len(names) / num_columns)
    figure = new_figure(width=max(3.6 * num_columns, 5.2), height=3.0 * num_rows)
    for index, name in enumerate(names):
        axes = figure.add_subplot(num_rows, num_columns, index + 1)
        _draw_metric(axes, name, history, num_epochs)
        if index + num_columns >= len(names):
            axes.set_xlabel("epoch")
    return drawn(figure)


def heat_maps(
    matrices: Mapping[str, np.ndarray],
    *,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
) -> np.ndarray:
    """Draws matrices side by side, such as how much each latent counts for each factor.

    Each has a colour scale of its own, from 0 to its largest entry, and an entry that is at least
    half of the largest has a frame, so that it can be found without colours.

    Args:
        matrices: Arrays `(num_rows, num_columns)` of numbers that are not negative, by title.
        row_labels: One str per row.
        column_labels: One str per column.

    Returns:
        A uint8 array of shape `(height, width, 3)`.

    Raises:
        ValueError: If there is no matrix, a shape does not fit the labels, or an entry is negative
            or not finite.

    Example:

    >>> matrix = np.array([[1.0, 0.0], [0.1, 0.9], [0.2, 0.2]])
    >>> heat_maps(
    ...     {"importance": matrix}, row_labels=["h1", "h2", "h3"], column_labels=["x", "y"]
    ... ).shape
    (312, 360, 3)
    """
    shape = len(row_labels), len(column_labels)
    matrices = {title: _checked_matrix(title, array, shape) for title, array in matrices.items()}
    if not matrices or 0 in shape:
        raise ValueError(
            "`matrices` must hold at least one matrix with an entry. Received: "
            f"{len(matrices)} matrices, labels of {shape[0]} rows and {shape[1]} columns."
        )
    panel_width = max(3.0, 0.55 * shape[1] + 1.6)
    figure = new_figure(len(matrices) * panel_width, max(2.6, 0.32 * shape[0] + 1.6))
    for index, (title, matrix) in enumerate(matrices.items()):
        axes = figure.add_subplot(1, len(matrices), index + 1)
        _draw_matrix(axes, matrix)
        axes.set_title(title, fontsize=10)
        axes.set_xticks(range(shape[1]), column_labels, rotation=45, ha="right", fontsize=8)
        axes.set_yticks(range(shape[0]), row_labels if index == 0 else [""] * shape[0], fontsize=8)
    return drawn(figure)


def _draw_metric(axes, name: str, history: Mapping[str, Sequence[float]], num_epochs: int) -> None:
    from matplotlib.ticker import MaxNLocator

    parts = []
    for key, label, color in zip(
        (name, f"val_{name}"), ("training", "validation"), COLORS[:2], strict=True
    ):
        values = np.asarray(history.get(key, ()), dtype="float64")
        if values.size:
            epochs = (num_epochs // values.size) * np.arange(1, values.size + 1)
            marker = "o" if values.size < 20 else None
            axes.plot(epochs, values, color=color, marker=marker, markersize=3, label=label)
            parts.append(values[np.isfinite(values)])
    finite = np.concatenate(parts) if parts else np.empty(0)
    if finite.size and finite.min() > 0 and finite.max() > 30 * finite.min():
        axes.set_yscale("log")
    axes.set_title(name.replace("_", " "), fontsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    if len(parts) > 1:
        axes.legend(frameon=False, fontsize=9)
    clean(axes)


def _checked_matrix(title: str, array, shape: tuple[int, int]) -> np.ndarray:
    matrix = np.asarray(array, dtype="float64")
    if matrix.shape != shape or not (matrix >= 0).all() or not np.isfinite(matrix).all():
        low, high = (matrix.min(), matrix.max()) if matrix.size else (0, 0)
        raise ValueError(
            f"`matrices['{title}']` must be finite, not negative, and have a row per row label and "
            f"a column per column label, {shape}. Received: shape {matrix.shape}, values from "
            f"{low:.3g} to {high:.3g}."
        )
    return matrix


def _draw_matrix(axes, matrix: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    largest = matrix.max()
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=largest or 1, aspect="auto")
    for row, column in np.argwhere(matrix >= largest / 2) if largest else ():
        corner = column - 0.5, row - 0.5
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=COLORS[1], linewidth=1.2))
    axes.tick_params(length=0)
    axes.spines[:].set_color("0.8")
