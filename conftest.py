"""What every test starts from: a quiet TensorFlow on the CPU, fixed seeds, default precision."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

_SHARED_DATA = Path(__file__).resolve().parents[1] / "shared" / "data"


@pytest.fixture(autouse=True)
def _seeds_and_precision():
    """Seeds Python, NumPy and TensorFlow before a test and takes back its dtype policy after it."""
    # Not at the top: what TensorFlow logs when it is loaded would then be shown after the summary
    # of pytest, and the process that only hands out the tests to others would load it too.
    import keras

    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the checkout; the test is skipped where there is none."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("needs the real data sets in ../shared/data, see BUILD.md")
    return _SHARED_DATA


@pytest.fixture(autouse=True)
def _names_in_examples(doctest_namespace):
    """What the examples of docstrings take as imported."""
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_rkm

    doctest_namespace.update(keras=keras, np=np, tf=tf, keras_rkm=keras_rkm)
