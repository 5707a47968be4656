"""Many clients on one server for a while: does it answer them all, and does it keep their memory?

    python -m tests.serving.endurance --seconds=60 --clients=8

starts the emulator on a toy model and prints a line. The status is 1 if a call failed.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .server_process import ServerProcess, models_config, start_server

_BATCH_SIZE = 4


@dataclasses.dataclass
class Endurance:
    """What a number of clients went through.

    Attributes:
        num_calls: Int.
        errors: The errors as text; calls whose answer was wrong are among them.
        mebibytes: Resident memory of the server after the first calls, in the middle, at the end.
    """

    num_calls: int = 0
    errors: list[str] = dataclasses.field(default_factory=list)
    mebibytes: list[float] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        memory = " -> ".join(f"{size:.0f}" for size in self.mebibytes)
        return f"{self.num_calls} calls, {len(self.errors)} errors, server RSS {memory} MiB"


def endure(
    server: ServerProcess,
    *,
    seconds: float,
    num_clients: int,
    protocol: str = "grpc",
    model_name: str = "toy",
    meanwhile: Callable[[], None] | None = None,
) -> Endurance:
    """Has clients, each in a thread with a connection of its own, call without a pause.

    Args:
        server: `ServerProcess`.
        seconds: Number.
        num_clients: Int.
        protocol: `"grpc"` or `"rest"`.
        model_name: Str, a toy model.
        meanwhile: Called once while they are at it.

    Returns:
        An `Endurance`.
    """
    result, lock, end = Endurance(), threading.Lock(), time.monotonic() + seconds
    threads = [
        threading.Thread(
            target=_call_until, args=(end, server.address(protocol), model_name, seed, result, lock)
        )
        for seed in range(num_clients)
    ]
    for thread in threads:
        thread.start()
    _sleep_until(end - 0.9 * seconds)
    result.mebibytes.append(server.resident_mebibytes())
    if meanwhile is not None:
        meanwhile()
    _sleep_until(end - 0.5 * seconds)
    result.mebibytes.append(server.resident_mebibytes())
    for thread in threads:
        thread.join()
    result.mebibytes.append(server.resident_mebibytes())
    return result


def _call_until(end, address, model_name, seed, result, lock) -> None:
    """Encodes, generates and traverses in turn; an answer that is not as before is an error."""
    from keras_rkm.serving import ServingClient

    seeds = list(range(seed, seed + _BATCH_SIZE))
    # Without new attempts, which would hide what goes wrong.
    with ServingClient(address, model_name=model_name, max_attempts=1, timeout=30) as client:
        expected = None
        while time.monotonic() < end:
            error = None
            try:
                latents, images = client.generate(seeds=seeds)
                expected = latents if expected is None else expected
                if not np.array_equal(latents, expected):
                    error = "other latents of the same seeds"
                client.encode(images)
                client.traverse(latents, 0)
            except Exception as raised:
                error = f"{type(raised).__name__}: {raised}"
            with lock:
                result.num_calls += 3
                if error:
                    result.errors.append(error)


def _sleep_until(moment: float) -> None:
    time.sleep(max(moment - time.monotonic(), 0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it on a server of its own."""
    parser = argparse.ArgumentParser(description="Many clients on one emulator for a while.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--protocol", choices=["grpc", "rest"], default="grpc")
    flags = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from .toy_model import export_toy_model

    with tempfile.TemporaryDirectory() as folder:
        export_toy_model(Path(folder, "toy", "1"))
        config = Path(folder, "models.config")
        config.write_text(models_config({"toy": Path(folder, "toy")}))
        with start_server(config) as server:
            result = endure(
                server, seconds=flags.seconds, num_clients=flags.clients, protocol=flags.protocol
            )
    print(f"{flags.clients} clients, {flags.protocol}, {flags.seconds:g} s: {result}")
    for error in sorted(set(result.errors))[:5]:
        print(error)
    return 1 if result.errors else 0


if __name__ == "__main__":
    sys.exit(main())
