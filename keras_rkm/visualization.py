"""Pictures of images, traversals, spectra and training curves, as arrays.

Every function returns a uint8 array of shape `(height, width, 3)`, dark on white, which
`save_png` writes to a file and TensorBoard takes as it is; `traversal_frames` returns one for every
frame, and `save_animation` writes them. Images come in as floats in [0, 1] or as uint8, with one
channel or three. Small images are enlarged by whole factors, every pixel becoming a square, so that
one can see what is in them.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# An image is enlarged to about this many pixels.
_READABLE_SIZE = 64
_FONT_SIZE = 14
_MARGIN = _FONT_SIZE // 2
_MOST_TILES_IN_A_ROW = 10
_WHITE = 255
_TEXT_COLOR = (38, 38, 38)
_COLORS = ("#3264a8", "#d9822b")


def image_grid(
    images,
    *,
    num_columns: int | None = None,
    padding: int = 2,
    scale: int | None = None,
) -> np.ndarray:
    """Lays images out row by row, a white line between them.

    Args:
        images: Array of shape `(num_images, height, width, channels)`.
        num_columns: Images in a row. Defaults to None, about a square.
        padding: Width of the lines in pixels. Defaults to 2.
        scale: Whole factor by which images are enlarged. Defaults to None, about 64 pixels.

    Returns:
        A uint8 array of shape `(grid_height, grid_width, 3)`.

    Raises:
        TypeError: If the images are neither floats nor uint8.
        ValueError: If their shape or their values are wrong, or a number is not positive.

    Example:

    >>> import numpy as np
    >>> image_grid(np.zeros((6, 8, 8, 1)), num_columns=3, padding=1, scale=1).shape
    (19, 28, 3)
    """
    images = _enlarged(_rgb(images, "images", num_dimensions=4), scale)
    if num_columns is None:
        num_columns = math.ceil(math.sqrt(len(images)))
    _check_layout(num_columns, padding)
    return _tiled(_wrapped(images, num_columns), padding, row_gaps=None)


def comparison_grid(
    originals,
    reconstructions,
    *,
    labels: tuple[str, str] = ("original", "reconstruction"),
    num_columns: int | None = None,
    padding: int = 2,
    scale: int | None = None,
) -> np.ndarray:
    """Puts each reconstruction below its original, the rows labelled.

    Args:
        originals: Array of shape `(num_images, height, width, channels)`.
        reconstructions: Array of the same shape.
        labels: Names of the upper and the lower row of a pair of rows.
        num_columns: Pairs in a row. Defaults to None, at most 10.
        padding: Width of the lines between images in pixels. Defaults to 2.
        scale: Whole factor by which images are enlarged. Defaults to None, about 64 pixels.

    Returns:
        A uint8 array of shape `(grid_height, grid_width, 3)`.

    Raises:
        TypeError: If the images are neither floats nor uint8.
        ValueError: If the shapes differ, a shape or a value is wrong, or a number is not positive.
    """
    upper = _rgb(originals, "originals", num_dimensions=4)
    lower = _rgb(reconstructions, "reconstructions", num_dimensions=4)
    if upper.shape != lower.shape:
        raise ValueError(
            "`originals` and `reconstructions` must have the same number of images of the same "
            f"size. Received: originals of shape {np.shape(originals)}, reconstructions of shape "
            f"{np.shape(reconstructions)}."
        )
    if num_columns is None:
        num_columns = min(len(upper), _MOST_TILES_IN_A_ROW)
    _check_layout(num_columns, padding)
    upper = _wrapped(_enlarged(upper, scale), num_columns)
    lower = _wrapped(_enlarged(lower, scale), num_columns)
    rows = np.stack([upper, lower], axis=1).reshape(-1, *upper.shape[1:])
    # The rows of a pair stand close together, the pairs apart.
    gaps = [padding, 4 * padding + 4] * len(upper)
    return _labelled(rows, list(labels) * len(upper), None, padding, gaps[:-1])


def traversal_grid(
    images,
    *,
    labels: Sequence[str] | None = None,
    step_labels: Sequence[str] | None = None,
    padding: int = 2,
    scale: int | None = None,
) -> np.ndarray:
    """Shows one axis per row and one step along it per column.

    Args:
        images: Array of shape `(num_axes, num_steps, height, width, channels)`.
        labels: One per axis, such as "axis 1, 34.5 %". Defaults to None, "axis 1" and so on.
        step_labels: One per step, such as "-2". Defaults to None, no such line.
        padding: Width of the lines between images in pixels. Defaults to 2.
        scale: Whole factor by which images are enlarged. Defaults to None, about 64 pixels.

    Returns:
        A uint8 array of shape `(grid_height, grid_width, 3)`.

    Raises:
        TypeError: If the images are neither floats nor uint8.
        ValueError: If a shape, a value or the number of labels is wrong.
    """
    images = _rgb(images, "images", num_dimensions=5)
    labels = _axis_labels(labels, step_labels, images.shape)
    _check_layout(images.shape[1], padding)
    return _labelled(_enlarged(images, scale), labels, step_labels, padding, row_gaps=None)


def traversal_frames(
    images,
    *,
    labels: Sequence[str] | None = None,
    step_labels: Sequence[str] | None = None,
    num_columns: int | None = None,
    scale: int | None = None,
) -> np.ndarray:
    """Shows the axes side by side, all at the same step, one frame per step.

    Args:
        images: Array of shape `(num_axes, num_steps, height, width, channels)`.
        labels: One per axis, above its images. Defaults to None, "axis 1" and so on.
        step_labels: One per step, at the top of its frame. Defaults to None, no such line.
        num_columns: Axes in a row. Defaults to None, at most 10.
        scale: Whole factor by which images are enlarged. Defaults to None, about 64 pixels.

    Returns:
        A uint8 array of shape `(num_steps, frame_height, frame_width, 3)`.

    Raises:
        TypeError: If the images are neither floats nor uint8.
        ValueError: If a shape, a value or the number of labels is wrong.

    Example:

    >>> images = np.zeros((3, 5, 8, 8, 1), "uint8")
    >>> traversal_frames(images, labels=["", "", ""], scale=1).shape
    (5, 43, 52, 3)
    """
    images = _rgb(images, "images", num_dimensions=5)
    labels = _axis_labels(labels, step_labels, images.shape)
    if num_columns is None:
        num_columns = min(len(images), _MOST_TILES_IN_A_ROW)
    _check_layout(num_columns, 0)
    return _tiles_below_labels(_enlarged(images, scale), labels, step_labels, num_columns)


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
    figure = _new_figure(width=6.4, height=3.6)
    axes = figure.add_subplot()
    numbers = np.arange(1, ratio.size + 1)
    bars = axes.bar(numbers, 100 * ratio, color=_COLORS[0], width=0.75, label="each axis")
    if ratio.size <= 16:
        axes.bar_label(bars, fmt="%.1f", fontsize=8, padding=2)
    total = 100 * np.cumsum(ratio)
    # From the second axis on: at the first it would cross out the number on the bar.
    axes.plot(numbers[1:], total[1:], color=_COLORS[1], marker="o", markersize=3, label="together")
    axes.set(xlabel="principal axis", ylabel="explained variance, %")
    axes.set_xlim(0.4, ratio.size + 0.6)
    axes.set_ylim(0, 1.1 * max(total[-1], 1e-9))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16, min_n_ticks=1))
    axes.legend(frameon=False, fontsize=9, loc="center right")
    _clean(axes)
    return _drawn(figure)


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
    figure = _new_figure(width=max(3.6 * num_columns, 5.2), height=3.0 * num_rows)
    for index, name in enumerate(names):
        axes = figure.add_subplot(num_rows, num_columns, index + 1)
        _draw_metric(axes, name, history, num_epochs)
        if index + num_columns >= len(names):
            axes.set_xlabel("epoch")
    return _drawn(figure)


def save_png(array: np.ndarray, path: str | os.PathLike) -> None:
    """Writes a picture to a PNG file, which is there either whole or not at all.

    Args:
        array: A uint8 array of shape `(height, width, 3)`.
        path: The file; one that exists is replaced. Its folder has to exist.

    Raises:
        OSError: If the file cannot be written.
        TypeError: If the array is not uint8.
        ValueError: If it does not have the shape `(height, width, 3)`.
    """
    array = np.asarray(array)
    if array.dtype != np.uint8:
        raise TypeError(
            f"`array` must be of type uint8. Received: {array.dtype}. Use `image_grid`."
        )
    if array.ndim != 3 or array.shape[-1] != 3 or array.size == 0:
        raise ValueError(
            f"`array` must have the shape (height, width, 3). Received: shape {array.shape}."
        )
    _write_atomically(
        path, lambda beside: Image.fromarray(array).save(beside, format="PNG", optimize=True)
    )


def save_animation(frames, path: str | os.PathLike, *, frame_milliseconds: int = 100) -> None:
    """Writes frames as an animation that repeats for ever; the file is whole or not there at all.

    A WebP file holds the frames exactly. So does a GIF file of grey frames; coloured ones are
    brought to 256 colours, the same in all frames. Equal frames in a row become one that is shown
    longer.

    Args:
        frames: A uint8 array of shape `(num_frames, height, width, 3)`.
        path: The file, `.gif` or `.webp`; one that exists is replaced. Its folder has to exist.
        frame_milliseconds: Positive int, how long a frame is shown. Defaults to 100. A GIF file
            counts in steps of 10.

    Raises:
        OSError: If the file cannot be written.
        TypeError: If the array is not uint8.
        ValueError: If it has another shape, `path` another suffix, or the time is not positive.
    """
    frames, path = np.asarray(frames), Path(path)
    _check_animation(frames, path, frame_milliseconds)
    if path.suffix.lower() == ".gif":
        images, options = _with_one_palette(frames), {"format": "GIF", "optimize": False}
    else:
        images = [Image.fromarray(frame) for frame in frames]
        options = {"format": "WEBP", "lossless": True}
    options |= {"save_all": True, "append_images": images[1:], "loop": 0}
    _write_atomically(
        path, lambda beside: images[0].save(beside, duration=frame_milliseconds, **options)
    )


def _with_one_palette(frames: np.ndarray) -> list[Image.Image]:
    """Frames for a GIF file; with a palette for each of them the colours would flicker."""
    if np.array_equal(frames, np.broadcast_to(frames[..., :1], frames.shape)):
        return [Image.fromarray(frame[..., 0]) for frame in frames]
    all_frames = Image.fromarray(frames.reshape(-1, *frames.shape[2:]))
    palette = all_frames.quantize(256)
    return [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]


def _write_atomically(path: str | os.PathLike, write: Callable[[Path], object]) -> None:
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _rgb(images, argument: str, num_dimensions: int) -> np.ndarray:
    """The images as uint8 with three channels, or an error that says what is wrong with them."""
    images = np.asarray(images)
    if images.ndim != num_dimensions or images.size == 0 or images.shape[-1] not in (1, 3):
        leading = "num_images" if num_dimensions == 4 else "num_axes, num_steps"
        raise ValueError(
            f"`{argument}` must have the shape ({leading}, height, width, channels) with 1 or 3 "
            f"channels and at least one image. Received: shape {images.shape}."
        )
    if images.dtype.name == "bfloat16":  # NumPy does not count it among its floats.
        images = images.astype("float32")
    if np.issubdtype(images.dtype, np.floating):
        lowest, highest = images.min(), images.max()
        # Written so that NaN is refused too. What is off by rounding errors passes: the margin is
        # less than half a level, so that rounding to levels takes it back.
        if not (lowest >= -1e-3 and highest <= 1 + 1e-3):
            raise ValueError(
                f"`{argument}` of a float type must lie in [0, 1]. Received: values from "
                f"{lowest:.3g} to {highest:.3g}. Clip or rescale them, or pass uint8."
            )
        images = np.round(255 * images.astype("float32")).astype("uint8")
    elif images.dtype != np.uint8:
        raise TypeError(
            f"`{argument}` must be floats in [0, 1] or uint8. Received: type {images.dtype}. "
            "Convert them with `.astype`."
        )
    return np.broadcast_to(images, (*images.shape[:-1], 3))


def _enlarged(images: np.ndarray, scale: int | None) -> np.ndarray:
    height, width = images.shape[-3:-1]
    if scale is None:
        scale = max(1, round(_READABLE_SIZE / max(height, width)))
    if scale < 1 or scale != int(scale):
        raise ValueError(f"`scale` must be a positive int. Received: scale={scale}.")
    return images.repeat(scale, axis=-3).repeat(scale, axis=-2)


def _wrapped(images: np.ndarray, num_columns: int) -> np.ndarray:
    """Images (n, h, w, 3) as rows (r, num_columns, h, w, 3), filled up with white ones."""
    num_missing = -len(images) % num_columns
    white = np.full((num_missing, *images.shape[1:]), _WHITE, dtype="uint8")
    return np.concatenate([images, white]).reshape(-1, num_columns, *images.shape[1:])


def _tiled(rows: np.ndarray, padding: int, row_gaps: Sequence[int] | None) -> np.ndarray:
    """One picture of the rows (r, c, h, w, 3), `padding` around it and between the columns."""
    num_rows, num_columns, height, width, _ = rows.shape
    tops = _tops(num_rows, height, padding, row_gaps)
    picture = np.full(
        (tops[-1] + height + padding, num_columns * (width + padding) + padding, 3),
        _WHITE,
        dtype="uint8",
    )
    for row, top in zip(rows, tops, strict=True):
        for index, image in enumerate(row):
            left = padding + index * (width + padding)
            picture[top : top + height, left : left + width] = image
    return picture


def _tops(num_rows: int, height: int, padding: int, row_gaps: Sequence[int] | None) -> list[int]:
    """The first line of each row; the gaps between rows are as wide as `padding` if None."""
    gaps = [padding] * (num_rows - 1) if row_gaps is None else row_gaps
    tops = [padding]
    for gap in gaps:
        tops.append(tops[-1] + height + gap)
    return tops


def _labelled(
    rows: np.ndarray,
    row_labels: Sequence[str],
    column_labels: Sequence[str] | None,
    padding: int,
    row_gaps: Sequence[int] | None,
) -> np.ndarray:
    """The rows (r, c, h, w, 3) with a label left of each and, if there are any, column labels."""
    font = ImageFont.load_default(_FONT_SIZE)
    grid = _tiled(rows, padding, row_gaps)
    left = _MARGIN + math.ceil(max(font.getlength(label) for label in row_labels)) + _MARGIN
    top = _FONT_SIZE + 2 * _MARGIN if column_labels else _MARGIN
    picture = np.full(
        (top + grid.shape[0] + _MARGIN, left + grid.shape[1] + _MARGIN, 3),
        _WHITE,
        dtype="uint8",
    )
    picture[top : top + grid.shape[0], left : left + grid.shape[1]] = grid

    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    _, num_columns, height, width, _ = rows.shape
    for label, first in zip(row_labels, _tops(len(rows), height, padding, row_gaps), strict=True):
        middle = top + first + height / 2
        draw.text((left - _MARGIN, middle), label, fill=_TEXT_COLOR, font=font, anchor="rm")
    for index, label in enumerate(column_labels or ()):
        middle = left + padding + index * (width + padding) + width / 2
        draw.text((middle, top - 2), label, fill=_TEXT_COLOR, font=font, anchor="mb")
    return np.array(canvas)


def _tiles_below_labels(
    images: np.ndarray,
    labels: Sequence[str],
    step_labels: Sequence[str] | None,
    num_columns: int,
) -> np.ndarray:
    """Frames (steps, height, width, 3) of images (axes, steps, h, w, 3), each below its label."""
    font = ImageFont.load_default(_FONT_SIZE)
    num_axes, num_steps, height, width, _ = images.shape
    # A cell is as wide as the widest label, and its tile stands in the middle of it.
    cell_width = max(width, *(math.ceil(font.getlength(label)) for label in labels))
    rows, columns = np.divmod(np.arange(num_axes), num_columns)
    lefts = _MARGIN + columns * (cell_width + _MARGIN) + (cell_width - width) // 2
    tops = (2 if step_labels else 1) * (_FONT_SIZE + _MARGIN) + _MARGIN
    tops = tops + rows * (_FONT_SIZE + height + 2 * _MARGIN)
    size = int(_MARGIN + (columns.max() + 1) * (cell_width + _MARGIN)), int(tops[-1] + height)

    canvas = Image.new("RGB", (size[0], size[1] + _MARGIN), (_WHITE,) * 3)
    draw = ImageDraw.Draw(canvas)
    for label, top, left in zip(labels, tops, lefts, strict=True):
        middle = float(left + width / 2), float(top - 2)
        draw.text(middle, label, fill=_TEXT_COLOR, font=font, anchor="mb")
    frames = np.stack(
        [_captioned(canvas, label, font) for label in step_labels or [""] * num_steps]
    )
    for tiles, top, left in zip(images, tops, lefts, strict=True):
        frames[:, top : top + height, left : left + width] = tiles
    return frames


def _captioned(canvas: Image.Image, text: str, font) -> np.ndarray:
    canvas = canvas.copy()
    position = canvas.width / 2, _MARGIN
    ImageDraw.Draw(canvas).text(position, text, fill=_TEXT_COLOR, font=font, anchor="mt")
    return np.array(canvas)


def _new_figure(width: float, height: float):
    """A Matplotlib figure of its own: pyplot would keep it alive and pick a window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _drawn(figure) -> np.ndarray:
    figure.canvas.draw()
    return np.array(figure.canvas.buffer_rgba())[..., :3]


def _clean(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def _draw_metric(axes, name: str, history: Mapping[str, Sequence[float]], num_epochs: int) -> None:
    from matplotlib.ticker import MaxNLocator

    drawn = []
    for key, label, color in zip(
        (name, f"val_{name}"), ("training", "validation"), _COLORS, strict=True
    ):
        values = np.asarray(history.get(key, ()), dtype="float64")
        if values.size:
            epochs = (num_epochs // values.size) * np.arange(1, values.size + 1)
            marker = "o" if values.size < 20 else None
            axes.plot(epochs, values, color=color, marker=marker, markersize=3, label=label)
            drawn.append(values[np.isfinite(values)])
    finite = np.concatenate(drawn) if drawn else np.empty(0)
    if finite.size and finite.min() > 0 and finite.max() > 30 * finite.min():
        axes.set_yscale("log")
    axes.set_title(name.replace("_", " "), fontsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    if len(drawn) > 1:
        axes.legend(frameon=False, fontsize=9)
    _clean(axes)


def _axis_labels(
    labels: Sequence[str] | None, step_labels: Sequence[str] | None, shape: tuple[int, ...]
) -> Sequence[str]:
    """The labels of the axes of images of this shape, after a look at both kinds of labels."""
    num_axes, num_steps = shape[:2]
    if labels is None:
        labels = [f"axis {index + 1}" for index in range(num_axes)]
    _check_labels(labels, "labels", num_axes, "axis")
    if step_labels is not None:
        _check_labels(step_labels, "step_labels", num_steps, "step")
    return labels


def _check_layout(num_columns: int, padding: int) -> None:
    if num_columns < 1:
        raise ValueError(
            f"`num_columns` must be a positive int. Received: num_columns={num_columns}."
        )
    if padding < 0:
        raise ValueError(f"`padding` must not be negative. Received: padding={padding}.")


def _check_animation(frames: np.ndarray, path: Path, frame_milliseconds: int) -> None:
    if frames.dtype != np.uint8:
        raise TypeError(
            f"`frames` must be of type uint8. Received: {frames.dtype}. Use `traversal_frames`."
        )
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.size == 0:
        raise ValueError(
            "`frames` must have the shape (num_frames, height, width, 3). "
            f"Received: shape {frames.shape}."
        )
    if path.suffix.lower() not in (".gif", ".webp"):
        raise ValueError(f"`path` must end in .gif or .webp. Received: path={path}.")
    if frame_milliseconds < 1:
        raise ValueError(
            "`frame_milliseconds` must be a positive int. "
            f"Received: frame_milliseconds={frame_milliseconds}."
        )


def _check_labels(labels: Sequence[str], argument: str, expected: int, what: str) -> None:
    if len(labels) != expected:
        raise ValueError(
            f"`{argument}` must hold one label per {what}. Received: {len(labels)} labels for "
            f"{expected}."
        )
