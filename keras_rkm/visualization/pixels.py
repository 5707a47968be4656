"""What comes out of a decoder, as pixels."""

import numpy as np


def pixels(images) -> np.ndarray:
    """Float images as uint8; what a decoder gives beyond [0, 1] is cut off.

    >>> pixels(np.array([-0.2, 0.5, 1.1]))
    array([  0, 128, 255], dtype=uint8)
    """
    return np.round(255 * np.clip(np.asarray(images, "float32"), 0, 1)).astype("uint8")
