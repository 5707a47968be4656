"""What the benchmark programs share: taking turns, medians, and Markdown.

TensorFlow is imported by the functions that need it: benchmarks/principal_axes_memory.py measures
processes, and must itself stay small.
"""

import csv
import importlib.metadata
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Times(NamedTuple):
    """Seconds of each turn, by two clocks."""

    cpu: list[float]
    wall: list[float]


def interleaved_cpu_times(
    functions: dict[str, Callable[[], object]], *, repeats: int
) -> dict[str, list[float]]:
    """CPU seconds, over all threads of the process, of each function, `repeats` values each."""
    return {
        name: times.cpu for name, times in interleaved_times(functions, repeats=repeats).items()
    }


def interleaved_times(
    functions: dict[str, Callable[[], object]], *, repeats: int
) -> dict[str, Times]:
    """CPU seconds, over all threads of the process, and those of a clock on the wall.

    The functions take turns, so that a machine that slows down slows them all. Each is called once
    before, to trace, compile and allocate. A function has to wait for its own result.
    """
    for function in functions.values():
        function()
    times = {name: Times([], []) for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            cpu, wall = time.process_time(), time.perf_counter()
            function()
            times[name].cpu.append(time.process_time() - cpu)
            times[name].wall.append(time.perf_counter() - wall)
    return times


def ratio_of_medians(times: Sequence[float], reference: Sequence[float]) -> float:
    """The median of `times` over the median of `reference`."""
    return statistics.median(times) / statistics.median(reference)


def spread_of_ratios(times: Sequence[float], reference: Sequence[float]) -> str:
    """The quartiles of the ratios of neighbours in time, as `low-high`: how far to trust one."""
    ratios = [time / other for time, other in zip(times, reference, strict=True)]
    if len(ratios) < 2:
        return "-"
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{low:.2f}-{high:.2f}"


def set_threads(num_threads: int) -> None:
    """Limits TensorFlow to `num_threads`, within and between operations; 0 leaves its choice."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(num_threads)


def print_setting(title: str, *, threads: int, seeds: object, **details: object) -> None:
    """Prints what a number needs beside it to mean something."""
    versions = ", ".join(
        f"{package} {importlib.metadata.version(package)}"
        for package in ("tensorflow", "keras", "numpy")
    )
    print(f"\n## {title}\n")
    print(f"- Python {platform.python_version()}, {versions}")
    print(f"- threads: {threads or 'as TensorFlow chooses'}; seeds: {seeds}")
    for name, value in details.items():
        print(f"- {name.replace('_', ' ')}: {value}")
    print(flush=True)


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a Markdown table; floats get four digits."""
    for cells in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(map(_cell, cells)) + " |")
    print(flush=True)


def write_csv(path: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Writes the same table, with all digits."""
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    in_plain_digits = value == 0 or 1e-3 <= abs(value) < 1e5
    return f"{value:.4g}" if in_plain_digits or not math.isfinite(value) else f"{value:.2e}"
