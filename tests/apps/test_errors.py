"""What a person is told of an exception."""

import pytest
import tensorflow as tf

from apps import errors

_PREAMBLE = """Graph execution error:

Detected at node PyFunc defined at (most recent call last):
<stack traces unavailable>
"""
_PLACE = "\n\t [[{{node PyFunc}}]]\n\t [[IteratorGetNext]] [Op:__inference_step_1]"


@pytest.mark.parametrize(
    "message, essence",
    [
        (
            f"{_PREAMBLE}Error in user-defined function passed to MapDataset:5 transformation with "
            f"iterator: Iterator::Root::ParallelMapV2: a: b.bin; No such file{_PLACE}",
            "a: b.bin; No such file",
        ),
        (
            f"{_PREAMBLE}OSError: [Errno 5] a.npy\nTraceback (most recent call last):\n\n"
            f'  File "a.py", line 1, in b\n\nOSError: [Errno 5] a.npy\n{_PLACE}',
            "OSError: [Errno 5] a.npy",
        ),
        ("corrupted record at 12", "corrupted record at 12"),
        ("", ""),
    ],
)
def test_error_of_tensorflow_is_told_without_its_place_in_the_graph(message, essence):
    error = tf.errors.DataLossError(None, None, message)
    assert errors.describe(error) == (essence, 1)
