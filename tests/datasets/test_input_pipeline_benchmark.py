"""benchmarks/input_pipeline.py runs; its numbers are not judged here."""

import os
import re
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def test_benchmark_prints_rates_of_both_pipelines():
    program = _ROOT / "benchmarks" / "input_pipeline.py"
    flags = ["--num_images=300", "--image_size=8", "--repeats=2"]
    result = subprocess.run(
        [sys.executable, str(program), *flags],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    for pipeline in ("Dataset.batches", "map before batch"):
        for clock in ("wall", "CPU"):
            rate = re.search(rf"{pipeline} +{clock} +([\d,]+) images/s", result.stdout)
            assert rate and int(rate[1].replace(",", "")) > 0
