"""A server in a process of its own: the emulator, or `tensorflow_model_server` where there is one.

Both take the same flags. The binary takes no port 0, so one is chosen for it.
"""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60
EMULATOR = "emulator"
BINARY = "tensorflow_model_server"


@dataclasses.dataclass
class ServerProcess:
    """A running server; ends with its `with` block.

    Attributes:
        process: The `subprocess.Popen`.
        folder: Path, where its `models.config` is.
        grpc_port: Int.
        rest_port: Int.
    """

    process: subprocess.Popen
    folder: Path
    grpc_port: int
    rest_port: int

    def address(self, protocol: str) -> str:
        """What a `ServingClient` takes as `server`, for `"grpc"` or `"rest"`."""
        if protocol == "grpc":
            return f"grpc://localhost:{self.grpc_port}"
        return f"http://localhost:{self.rest_port}"

    def resident_mebibytes(self) -> float:
        """The resident memory of the process."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the process is gone")

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *error) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        if self.process.stdout:
            self.process.stdout.close()


def models_config(base_paths: dict[str, Path], versions: Sequence[int] = (), **labels: int) -> str:
    """The text of a `models.config`: models by name; some have versions and labels.

    Args:
        base_paths: Folders of versions by model name.
        versions: The versions to serve of the first model; the newest of all others.
        **labels: Versions of the first model by label.
    """
    texts = []
    for index, (name, path) in enumerate(base_paths.items()):
        extra = ""
        if not index and versions:
            listed = " ".join(f"versions: {version}" for version in versions)
            extra += f"model_version_policy {{ specific {{ {listed} }} }} "
            for label, version in labels.items():
                extra += f'version_labels {{ key: "{label}" value: {version} }} '
        texts.append(
            f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {extra}}}'
        )
    return f"model_config_list {{ {' '.join(texts)} }}"


def start_server(
    config_file: Path, *, kind: str = EMULATOR, log_file: Path | None = None
) -> ServerProcess:
    """Starts a server and waits until its models are loaded.

    Args:
        config_file: Path of a `models.config`.
        kind: `EMULATOR` or `BINARY`.
        log_file: Where what the server logs goes; nowhere if None.

    Raises:
        RuntimeError: If it ends or takes too long.
    """
    flags = [
        f"--model_config_file={config_file}",
        # As often as the server can: the binary takes whole seconds.
        f"--file_system_poll_wait_seconds={0.2 if kind == EMULATOR else 1}",
        "--allow_version_labels_for_unavailable_models=true",
    ]
    with open(log_file or os.devnull, "w") as log:
        if kind == EMULATOR:
            return _start_emulator(config_file.parent, flags, log)
        return _start_binary(config_file.parent, flags, log)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start_emulator(folder: Path, flags: list[str], log) -> ServerProcess:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.serving.emulator", *flags],
        cwd=_ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the emulator ended with status {process.wait()}")
    ports = json.loads(line)
    return ServerProcess(process, folder, ports["grpc"], ports["rest"])


def _start_binary(folder: Path, flags: list[str], log) -> ServerProcess:
    ports = free_port(), free_port()
    process = subprocess.Popen(
        [shutil.which(BINARY), *flags, f"--port={ports[0]}", f"--rest_api_port={ports[1]}"],
        stdout=log,
        stderr=log,
    )
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://localhost:{ports[1]}/v1/models/toy", timeout=1).close()
            return ServerProcess(process, folder, *ports)
        except OSError:
            time.sleep(0.2)
    process.kill()
    raise RuntimeError(f"{BINARY} did not start; its status is {process.wait()}")
