"""A trained model and its sampler as a version that TensorFlow Serving can load."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_rkm.models import StiefelRKM
from keras_rkm.models.latent_model import LatentModel
from keras_rkm.samplers import Sampler

from .manifest import write_manifest
from .servability import check_servable
from .server_config import named_versions, read_models_config, write_server_configs
from .signatures import Endpoint, endpoints, latent_moments
from .versions import add_version, check_version, prune_versions
from .warmup import write_warmup_requests

_STEPS = tuple(np.linspace(-3, 3, 13).tolist())


def export_for_serving(
    model: LatentModel,
    sampler: Sampler,
    base_dir: str | os.PathLike,
    version: int | None = None,
    *,
    name: str = "st_rkm",
    keep: int | None = None,
    traverse_steps: Sequence[float] = _STEPS,
    serving_root: str = "/models",
    metadata: Mapping | None = None,
) -> Path:
    """Writes `base_dir/name/version`, a SavedModel for TensorFlow Serving.

    The signatures are those of `keras_rkm.export.endpoints`; `generate` is the default one. A row
    of `generate` depends on its own seed alone: the same seed gives the same latents, bit for bit,
    in any batch and any process, and a negative one fresh entropy.

    The version is written beside its place, checked by `check_servable` and then renamed, so that a
    polling server never sees half of it. Within it `assets.extra` holds warm-up requests and
    `manifest.json`: versions, signatures, `metadata`, and the checksums that `verify_export`
    compares. Beside the model, `models.config`, `batching.config` and `monitoring.config` are
    written where they are missing.

    Args:
        model: A model of `keras_rkm.models`; a `StiefelRKM` after `fit_principal_axes`.
        sampler: Sampler that was adapted to latents of the model.
        base_dir: The folder of the models.
        version: Positive int that is not taken. Defaults to None, the one after the highest.
        name: Str of letters, digits, `_`, `-` and `.`, the name of the model in the server.
            Defaults to `"st_rkm"`.
        keep: Positive int, how many of the highest versions to keep; labelled ones stay too.
            Defaults to None, all.
        traverse_steps: Where `traverse` puts a component, in standard deviations of the latent.
            Defaults to 13 steps from -3 to 3.
        serving_root: The path of `base_dir` as the server sees it, for `models.config`. Defaults to
            `"/models"`, the one of the official image.
        metadata: What else the manifest should say, fit for JSON. Defaults to None.

    Returns:
        The folder of the version.

    Raises:
        ValueError: If an argument is out of range; the version is taken; model and sampler are not
            ready or do not fit together; or the model would fail in the server. No version has been
            written then.

    >>> import tempfile
    >>> model = keras_rkm.models.StiefelRKM(
    ...     keras_rkm.networks.dense_encoder((8, 8, 1), 16, hidden_dims=(32,)),
    ...     keras_rkm.networks.dense_decoder(16, (8, 8, 1), hidden_dims=(32,)),
    ...     latent_dim=3,
    ... )
    >>> images = np.random.default_rng(0).random((64, 8, 8, 1), "float32")
    >>> axes = model.fit_principal_axes(images)
    >>> sampler = keras_rkm.samplers.GaussianSampler().adapt(model.encode(images))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = keras_rkm.export.export_for_serving(model, sampler, folder, keep=2)
    ...     path.name, sorted(keras_rkm.export.verify_export(path)["signatures"])
    ('1', ['decode', 'encode', 'generate', 'generate_png', 'log_prob', 'reconstruct', 'traverse'])
    """
    base_dir = Path(base_dir).expanduser()
    model_dir = base_dir / name
    metadata = dict(metadata or {})
    _check_arguments(name, keep, traverse_steps, metadata)
    _check_fit(model, sampler)
    check_version(model_dir, version)
    labelled = named_versions(read_models_config(base_dir), name)
    offered = endpoints(model, sampler, traverse_steps)

    def write(folder):
        signatures = _write_saved_model(folder, offered)
        check_servable(folder)
        write_warmup_requests(folder, offered, model_name=name)
        description = {
            "signatures": signatures,
            **_describe_latents(model, sampler),
            "traverse_steps": list(traverse_steps),
            "sampler": keras.saving.serialize_keras_object(sampler),
            "metadata": metadata,
        }
        write_manifest(folder, description)

    path = add_version(model_dir, version, write)
    write_server_configs(base_dir, name, serving_root)
    if keep is not None:
        prune_versions(model_dir, keep, protected={*labelled, int(path.name)})
    return path


def _check_arguments(name, keep, traverse_steps, metadata) -> None:
    if not re.fullmatch(r"[\w.-]*\w", name, re.ASCII):
        raise ValueError(
            "`name` must be of letters, digits, '_', '-' and '.', since it becomes a folder and a "
            f"part of URLs. Received: name={name!r}."
        )
    if keep is not None and (isinstance(keep, bool) or not isinstance(keep, int) or keep < 1):
        raise ValueError(
            f"`keep` must be a positive int, or None to keep all versions. Received: keep={keep!r}."
        )
    steps = np.asarray(traverse_steps, "float64")
    if steps.ndim != 1 or not steps.size or not np.isfinite(steps).all():
        raise ValueError(
            "`traverse_steps` must be a list of finite numbers. "
            f"Received: traverse_steps={traverse_steps!r}."
        )
    try:
        json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`metadata` must be fit for JSON: {error}. Received: metadata={metadata!r}."
        ) from error


def _check_fit(model: LatentModel, sampler: Sampler) -> None:
    if not isinstance(model, LatentModel):
        raise ValueError(
            "`model` must be one of the models of keras_rkm. "
            f"Received: a {type(model).__name__}. `keras.Model.export` exports any model."
        )
    if isinstance(model, StiefelRKM):
        model.explained_variance  # noqa: B018 (says so if the axes are not known)
    if sampler.latent_dim != model.latent_dim:
        raise ValueError(
            "`sampler` must draw latents of the model. "
            f"Received: sampler.latent_dim={sampler.latent_dim}, "
            f"model.latent_dim={model.latent_dim}. Adapt a sampler to `model.encode(images)`."
        )


def _describe_latents(model: LatentModel, sampler: Sampler) -> dict:
    """What the manifest says of the latents."""
    means, deviations = latent_moments(model, sampler)
    found = {"latent_mean": means.tolist(), "latent_stddev": deviations.tolist()}
    if isinstance(model, StiefelRKM):
        found["explained_variance"] = np.asarray(model.explained_variance).tolist()
        found["explained_variance_ratio"] = np.asarray(model.explained_variance_ratio).tolist()
    return found


def _write_saved_model(folder: Path, offered: Mapping[str, Endpoint]) -> dict:
    """Writes the SavedModel and returns the signatures as plain values."""
    archive = keras.export.ExportArchive()
    signatures = {}
    for name, endpoint in offered.items():
        # `add_endpoint` alone: `track` would store every weight a second time.
        function = archive.add_endpoint(name, endpoint.function, list(endpoint.inputs))
        signatures[name] = {
            "inputs": {spec.name: _describe(spec) for spec in endpoint.inputs},
            "outputs": {
                key: _describe(value)
                for key, value in function.get_concrete_function().structured_outputs.items()
            },
        }
    archive.write_out(folder, verbose=False)
    return signatures


def _describe(spec) -> dict:
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
