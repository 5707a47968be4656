"""Training on several devices or machines, as docs/scaling.md describes it.

All workers run the same program on the same data; one of them, the chief, writes and prints.
"""

import contextlib
import json
import os
from collections.abc import Iterator

import tensorflow as tf

from keras_rkm import _replicas

from .errors import USAGE_STATUS, CommandError

NAMES = ("none", "mirrored", "multi_worker")
_EXAMPLE = (
    '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
# What TensorFlow raises in one worker when another one is gone, whichever notices it first.
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError)


class Devices:
    """What a training runs on; made before TensorFlow is used for anything else.

    Args:
        name: One of `NAMES`.

    Raises:
        CommandError: If TF_CONFIG does not say which worker of which cluster this is.
    """

    def __init__(self, name: str):
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)  # else TensorFlow takes all of it
        self._name = name
        self.strategy = None
        self.is_chief = True
        if name == "mirrored":
            self.strategy = tf.distribute.MirroredStrategy()
        elif name == "multi_worker":
            self.is_chief = _is_chief(_cluster_of_environment())
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy()

    def scope(self) -> contextlib.AbstractContextManager:
        """Where the model has to be made or loaded."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def to_device(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Has batches on their way to a GPU while it works on those before; elsewhere the same."""
        gpus = tf.config.list_logical_devices("GPU")
        if self.strategy or not gpus:  # A strategy sees to its own devices.
            return batches
        return batches.apply(tf.data.experimental.prefetch_to_device(gpus[0].name))

    def describe(self) -> str:
        """A line about the devices, or nothing if it is the one that there always is."""
        if not self.strategy:
            return ""
        return f"Devices: {self.strategy.num_replicas_in_sync}, of --strategy={self._name}.\n"

    @contextlib.contextmanager
    def speaking_once(self) -> Iterator[None]:
        """Has the chief alone print; and says it in a line if another worker is gone.

        Raises:
            CommandError: In place of what TensorFlow raises when a worker is gone.
        """
        try:
            if self.is_chief:
                yield
            else:
                with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                    yield
        except GONE as error:
            if not (self.strategy and _replicas.in_multi_worker_mode(self.strategy)):
                raise
            raise CommandError(
                "another worker is gone, without which this one cannot go on. End what is left of "
                "them, and start all again with --resume."
            ) from error

    def wait_for_all(self) -> None:
        """Returns when all workers have come here: one that is gone is an error to the others."""
        if self.strategy:
            _replicas.total_over_workers(self.strategy, 1.0)


def _cluster_of_environment() -> dict:
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise CommandError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG, which says which "
            f"worker of which cluster this is, such as {_EXAMPLE}.",
            status=USAGE_STATUS,
        )
    try:
        config = json.loads(text)
        task = config["task"]
        hosts = config["cluster"][task["type"]]
        if task["type"] not in ("chief", "worker") or not 0 <= task["index"] < len(hosts):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise CommandError(
            f"TF_CONFIG must say which worker of which cluster this is, such as {_EXAMPLE}. "
            f"Received: {text}",
            status=USAGE_STATUS,
        ) from None
    return config


def _is_chief(config: dict) -> bool:
    task = config["task"]
    return task["type"] == "chief" or (task["index"] == 0 and "chief" not in config["cluster"])
