"""Files with which `tensorflow_model_server` is started, beside the models.

They are written where there are none yet. After that they belong to whoever runs the server: a
further model is added to `models.config`, and nothing else is changed.
"""

import uuid
from pathlib import Path, PurePosixPath

MODELS = "models.config"
_PLATFORM = "tensorflow"

# One call for as many rows as come within a millisecond. A row of `traverse` is many images.
_BATCHING = """\
max_batch_size { value: 64 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 256 }
"""

_MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""


def read_models_config(base_dir: Path):
    """The `ModelServerConfig` of a folder of models, empty if there is no file.

    Raises:
        ValueError: If the file cannot be read.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    path = base_dir / MODELS
    if path.exists():
        try:
            text_format.Parse(path.read_text(encoding="utf-8"), config)
        except (text_format.ParseError, UnicodeDecodeError) as error:
            raise ValueError(
                f"`base_dir` holds a '{MODELS}' that cannot be read: {error}. Received: "
                f"base_dir='{base_dir}'. Mend or remove the file."
            ) from error
    return config


def named_versions(config, model_name: str) -> set[int]:
    """The versions of a model that labels or its version policy speak of."""
    found = set()
    for model in config.model_config_list.config:
        if model.name == model_name:
            found.update(model.version_labels.values())
            found.update(model.model_version_policy.specific.versions)
    return found


def write_server_configs(base_dir: Path, model_name: str, serving_root: str) -> None:
    """Writes what is missing of the files, and the model into `models.config`.

    Args:
        base_dir: The folder of the models.
        model_name: Str.
        serving_root: The path of `base_dir` as the server sees it.
    """
    from google.protobuf import text_format

    config = read_models_config(base_dir)
    if all(model.name != model_name for model in config.model_config_list.config):
        config.model_config_list.config.add(
            name=model_name,
            base_path=str(PurePosixPath(serving_root) / model_name),
            model_platform=_PLATFORM,
        )
        _write(base_dir / MODELS, text_format.MessageToString(config))
    for name, text in (("batching.config", _BATCHING), ("monitoring.config", _MONITORING)):
        if not (base_dir / name).exists():
            _write(base_dir / name, text)


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
