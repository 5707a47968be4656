"""An emulator of TensorFlow Serving, for tests: its gRPC and REST APIs over its own loader.

    python -m tests.serving.emulator --model_name=rkm --model_base_path=/models/rkm
    {"grpc": 41237, "rest": 39113}

The flags are those of `tensorflow_model_server`; it prints the ports that it listens on, of the
loopback interface, once every model is loaded. It knows no batching, no monitoring and no SSL.
"""

import argparse
import concurrent.futures
import json
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from .grpc_services import make_grpc_server
from .model_store import ModelConfig, ModelStore
from .rest_server import RestServer

_NUM_THREADS = 16


class Emulator:
    """A server in this process, in threads of its own.

    Args:
        configs: `ModelConfig`s.
        port: Int, of gRPC; 0 chooses one.
        rest_port: Int; as above.
        poll_seconds: Number, the time between two looks at the disk.
        enable_cors: Bool, whether pages of any origin may read what REST answers.

    Attributes:
        store: The `ModelStore`.
        port: Int.
        rest_port: Int.
    """

    def __init__(
        self,
        configs: Sequence[ModelConfig],
        *,
        port: int = 0,
        rest_port: int = 0,
        poll_seconds: float = 1.0,
        enable_cors: bool = False,
    ):
        self.store = ModelStore(configs, poll_seconds=poll_seconds)
        self._executor = concurrent.futures.ThreadPoolExecutor(_NUM_THREADS)
        self._grpc = make_grpc_server(self.store, self._executor)
        self.port = self._grpc.add_insecure_port(f"127.0.0.1:{port}")
        self._rest = RestServer(self.store, rest_port, enable_cors=enable_cors)
        self.rest_port = self._rest.server_address[1]
        # It looks every few hundredths of a second whether it has to end.
        self._rest_thread = threading.Thread(
            target=self._rest.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def start(self) -> "Emulator":
        """Loads the models, then answers."""
        self.store.start()
        self._grpc.start()
        self._rest_thread.start()
        return self

    def stop(self) -> None:
        """Ends what runs, and frees the ports and the models."""
        self._grpc.stop(grace=1).wait()
        self._rest.shutdown()
        self._rest.server_close()
        self._executor.shutdown()
        self.store.stop()

    def __enter__(self) -> "Emulator":
        return self.start()

    def __exit__(self, *error) -> None:
        self.stop()


def read_model_configs(path: Path) -> list[ModelConfig]:
    """Reads a `models.config`, a `ModelServerConfig` in text.

    Raises:
        google.protobuf.text_format.ParseError: If it is none.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    message = text_format.Parse(path.read_text(), model_server_config_pb2.ModelServerConfig())
    return [_model_config(config) for config in message.model_config_list.config]


def _model_config(message) -> ModelConfig:
    policy = message.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    return ModelConfig(
        name=message.name,
        base_path=Path(message.base_path),
        num_latest=None if kind == "all" else policy.latest.num_versions or 1,
        versions=frozenset(policy.specific.versions) if kind == "specific" else None,
        labels=dict(message.version_labels),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until the process is told to end."""
    parser = argparse.ArgumentParser(description="An emulator of TensorFlow Serving, for tests.")
    parser.add_argument("--model_config_file", type=Path)
    parser.add_argument("--model_name", default="default")
    parser.add_argument("--model_base_path", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rest_api_port", type=int, default=0)
    parser.add_argument("--file_system_poll_wait_seconds", type=float, default=1.0)
    # Without a meaning here: a label of a version that is not loaded is an error when it is used.
    parser.add_argument("--allow_version_labels_for_unavailable_models")
    flags = parser.parse_args(arguments)
    if (flags.model_config_file is None) == (flags.model_base_path is None):
        parser.error("give either --model_config_file or --model_base_path")
    configs = (
        read_model_configs(flags.model_config_file)
        if flags.model_config_file
        else [ModelConfig(flags.model_name, flags.model_base_path)]
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Emulator(
        configs,
        port=flags.port,
        rest_port=flags.rest_api_port,
        poll_seconds=flags.file_system_poll_wait_seconds,
    ) as emulator:
        print(json.dumps({"grpc": emulator.port, "rest": emulator.rest_port}), flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
