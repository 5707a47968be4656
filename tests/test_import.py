"""What `import keras_rkm` does to a process. Each case needs one of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


def _run(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs `code` in a new interpreter in which KERAS_BACKEND is set only if passed here."""
    inherited = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, "PYTHONPATH": str(_ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "environment", [{}, {"KERAS_BACKEND": ""}, {"KERAS_BACKEND": "tensorflow"}]
)
def test_tensorflow_is_chosen_over_the_configuration_file(tmp_path, environment):
    (tmp_path / "keras.json").write_text('{"backend": "jax", "floatx": "float32"}')
    code = "import keras_rkm, keras; print(keras.config.backend())"
    result = _run(code, KERAS_HOME=str(tmp_path), **environment)
    assert result.stdout.strip() == "tensorflow", result.stderr


def test_another_backend_in_the_environment_is_refused():
    result = _run("import keras_rkm", KERAS_BACKEND="jax")
    assert result.returncode != 0
    assert re.search(r"ImportError: .*Received: KERAS_BACKEND=jax.*Unset it", result.stderr)


def test_keras_imported_before_with_another_backend_is_refused():
    code = """
import keras
keras.config.backend = lambda: "jax"  # Stands in for a Keras on a backend that is not installed.
import keras_rkm
"""
    result = _run(code, KERAS_BACKEND="tensorflow")
    assert result.returncode != 0
    assert re.search(
        r"ImportError: .*already imported with the backend 'jax'.*Import keras_rkm before keras",
        result.stderr,
    )


def test_keras_imported_before_with_tensorflow_is_accepted():
    code = """
import os
import keras
os.environ["KERAS_BACKEND"] = "jax"  # Without effect on a loaded Keras.
import keras_rkm
print(keras_rkm.__version__)
"""
    result = _run(code, KERAS_BACKEND="tensorflow")
    assert re.match(r"\d+\.\d+\.\d+", result.stdout), result.stderr


def test_no_slow_package_is_imported_beyond_those_of_keras():
    # Keras imports Matplotlib and scikit-learn by itself where they are installed.
    code = """
import sys
import keras
before = set(sys.modules)
import keras_rkm
slow = ("tensorflow_probability", "tf_keras", "sklearn", "matplotlib", "tensorflow_datasets")
print(sorted(name for name in set(sys.modules) - before if name.split(".")[0] in slow))
"""
    result = _run(code)
    assert result.stdout.strip() == "[]", result.stderr
