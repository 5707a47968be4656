"""Images laid out in rows and columns, with labels: grids, comparisons, traversals."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# An image is enlarged to about this many pixels.
_READABLE_SIZE = 64
_FONT_SIZE = 14
_MARGIN = _FONT_SIZE // 2
_MOST_TILES_IN_A_ROW = 10
_WHITE = 255
_TEXT_COLOR = (38, 38, 38)


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


def _check_labels(labels: Sequence[str], argument: str, expected: int, what: str) -> None:
    if len(labels) != expected:
        raise ValueError(
            f"`{argument}` must hold one label per {what}. Received: {len(labels)} labels for "
            f"{expected}."
        )
