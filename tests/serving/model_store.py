"""Which versions of which models are loaded, and when: the part of TensorFlow Serving on disk.

A base path is polled for folders whose name is a whole integer. A new version is loaded and warmed
up beside the old one, which is let go only then; requests that run on the old one go on to their
end, since they hold it.
"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from .c_api import Session
from .c_library import StatusError
from .warm_up import replay_warm_up_requests

_MAX_LOAD_ATTEMPTS = 5

START, AVAILABLE, END = "START", "AVAILABLE", "END"


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """What `models.config` says of a model.

    Args:
        name: Str.
        base_path: Path, the folder of the versions.
        num_latest: Int, how many of the newest versions to serve; None for all.
        versions: Set of the versions to serve; None for what `num_latest` says.
        labels: Versions by label.
    """

    name: str
    base_path: Path
    num_latest: int | None = 1
    versions: frozenset[int] | None = None
    labels: dict[str, int] = dataclasses.field(default_factory=dict)

    def wanted(self) -> list[int]:
        """The versions on disk that are to be served, in order."""
        versions = sorted(_versions_on_disk(self.base_path))
        if self.versions is not None:
            return [version for version in versions if version in self.versions]
        return versions if self.num_latest is None else versions[-self.num_latest :]


@dataclasses.dataclass(frozen=True)
class Servable:
    """A loaded version of a model."""

    name: str
    version: int
    session: Session
    num_warm_up_requests: int


@dataclasses.dataclass
class _Model:
    config: ModelConfig
    loaded: dict[int, Servable] = dataclasses.field(default_factory=dict)
    states: dict[int, str] = dataclasses.field(default_factory=dict)
    errors: dict[int, StatusError] = dataclasses.field(default_factory=dict)
    attempts: dict[int, int] = dataclasses.field(default_factory=dict)


class ModelStore:
    """Loads and lets go of versions as they come and go on disk.

    Args:
        configs: The models.
        poll_seconds: Number, the time between two looks at the disk.
    """

    def __init__(self, configs: Sequence[ModelConfig], *, poll_seconds: float = 1.0):
        self._models = {config.name: _Model(config) for config in configs}
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll_until_stopped, daemon=True)

    def start(self) -> None:
        """Loads what is there, then goes on in a thread."""
        self.poll()
        self._thread.start()

    def stop(self) -> None:
        """Ends the polling and lets go of all models."""
        self._stopped.set()
        self._thread.join()
        for model in self._models.values():
            with self._lock:
                model.loaded = {}

    def poll(self) -> None:
        """Looks at the disk once."""
        for model in self._models.values():
            self._update(model)

    def servable(
        self, name: str, *, version: int | None = None, label: str | None = None
    ) -> Servable:
        """The version to run a request on: the given one, or the newest.

        Raises:
            StatusError: As TensorFlow Serving, if there is none.
        """
        model = self._models.get(name)
        if label is not None:
            version = self._version_of_label(model, label)
        with self._lock:
            loaded = model.loaded if model else {}
            found = loaded.get(max(loaded, default=0) if version is None else version)
        if found is None:
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise StatusError("NOT_FOUND", f"Servable not found for request: {wanted}")
        return found

    def states(
        self, name: str, *, version: int | None = None, label: str | None = None
    ) -> dict[int, tuple[str, StatusError | None]]:
        """State and error by version: of one, or of all that there are and were.

        Raises:
            StatusError: As TensorFlow Serving, if there is none.
        """
        model = self._models.get(name)
        if label is not None:
            version = self._version_of_label(model, label)
        with self._lock:
            states = dict(model.states) if model else {}
            errors = dict(model.errors) if model else {}
        found = [known for known in states if version in (None, known)]
        if not found:
            what = "any versions" if version is None else f"version {version}"
            raise StatusError("NOT_FOUND", f"Could not find {what} of model {name}")
        return {known: (states[known], errors.get(known)) for known in sorted(found)}

    @staticmethod
    def _version_of_label(model: _Model | None, label: str) -> int:
        if model is None or label not in model.config.labels:
            raise StatusError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        return model.config.labels[label]

    def _poll_until_stopped(self) -> None:
        while not self._stopped.wait(self._poll_seconds):
            self.poll()

    def _update(self, model: _Model) -> None:
        wanted = model.config.wanted()
        for version in wanted:
            if version not in model.loaded and not self._gave_up(model, version):
                self._load(model, version)
        # The old versions stay until one of the new ones can take over.
        if not wanted or any(version in model.loaded for version in wanted):
            for version in set(model.loaded) - set(wanted):
                with self._lock:
                    del model.loaded[version]
                    model.states[version] = END

    @staticmethod
    def _gave_up(model: _Model, version: int) -> bool:
        return model.attempts.get(version, 0) >= _MAX_LOAD_ATTEMPTS

    def _load(self, model: _Model, version: int) -> None:
        with self._lock:
            model.states[version] = START
        try:
            path = model.config.base_path / str(version)
            session = Session(path)
            num_requests = replay_warm_up_requests(path, session)
        except StatusError as error:
            with self._lock:
                model.attempts[version] = model.attempts.get(version, 0) + 1
                model.errors[version] = error
                model.states[version] = END
            return
        with self._lock:
            servable = Servable(model.config.name, version, session, num_requests)
            model.loaded[version] = servable
            model.states[version] = AVAILABLE
            model.errors.pop(version, None)


def _versions_on_disk(base_path: Path) -> Iterator[int]:
    if not base_path.is_dir():
        return
    for path in base_path.iterdir():
        if path.name.isascii() and path.name.isdecimal() and path.is_dir():
            yield int(path.name)
