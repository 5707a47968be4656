"""Whether images are the same as at another time; of streams without reading them all."""

import hashlib
import json
from collections.abc import Iterable

import numpy as np

SAMPLE_SIZE = 64  # images or pieces that are read


def fingerprint(facts: object, contents: Iterable[bytes | np.ndarray]) -> str:
    """A SHA-256, in hexadecimal digits, of what is known of some images and of what they hold.

    Args:
        facts: Names, sizes and numbers, fit for JSON.
        contents: Of all images or of a sample of them, in a fixed order.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def spread(number: int) -> list[int]:
    """At most `SAMPLE_SIZE` indices below `number`, evenly spaced, the first and last among them.

    Example:

    >>> spread(3), spread(1000)[:3], spread(1000)[-1]
    ([0, 1, 2], [0, 15, 31], 999)
    """
    return np.linspace(0, number - 1, min(number, SAMPLE_SIZE)).astype(int).tolist()
