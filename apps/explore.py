"""Writes one HTML file with a slider for each axis of a run; it opens from disk in any browser.

    keras-rkm explore --run=saved_models/first

The decoder is in the file, as small as its pictures stay right, and so are some images that were
held out of the training, to start from. With --server the page asks a TensorFlow Serving instead,
which has to let it (CORS, see docs/explorer.md).
"""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from absl import flags

from keras_rkm import explorer, metrics, rotations
from keras_rkm.datasets import Dataset
from keras_rkm.models import StiefelRKM
from keras_rkm.samplers import Sampler
from keras_rkm.serving.connection import open_transport

from . import errors
from .run_folder import write_atomically
from .run_inputs import (
    check_is_rkm,
    check_shape,
    define_dataset,
    define_positive,
    define_run,
    define_sampler,
    load_held_out,
    load_images,
    load_run,
    output_path,
)

_BATCH_SIZE = 256
_MOST_SCORED = 10_000  # images that factors are compared on
_FEWEST_SCORED = 100
_NUM_SHUFFLES = 5
_LEAST_SCORE = 0.05  # below it an axis follows none
_NUM_LATENTS = 2_000  # of each kind, that tell what counts inside the decoder
_NUM_PROBES = 160  # of each kind, that the packed decoder is judged by
_MARGIN = 1.2  # how far they go beyond the ends of the sliders, as images may
_MOST_IMAGES = 500
_ANY_SIZE = 2**31 - 1  # nothing is sent, so nothing can be too large

RUN = define_run()
SAMPLER = define_sampler()
DATASET = define_dataset(
    "Images to start from: a name, a file or a folder. Default: those that train held out."
)
NUM_IMAGES = flags.DEFINE_integer(
    "num_images",
    32,
    "How many images to start from.",
    lower_bound=0,
    upper_bound=_MOST_IMAGES,
)
MAX_STDDEV = define_positive(
    "max_stddev", 3.0, "How far a slider goes, in standard deviations of the latent."
)
SEED = flags.DEFINE_integer("seed", 0, "Decides which images.", lower_bound=0)
SERVER = flags.DEFINE_string(
    "server",
    None,
    "Have the page ask the REST port of this TensorFlow Serving: host:port, or http:// or https:// "
    "before it.",
)
MODEL_NAME = flags.DEFINE_string("model_name", "st_rkm", "Name of the model in the server.")
MODEL_VERSION = flags.DEFINE_integer(
    "model_version", None, "Version of the model. Default: the newest.", lower_bound=1
)
MODEL_LABEL = flags.DEFINE_string("model_label", None, "Label of a version, such as stable.")
OUTPUT = flags.DEFINE_string(
    "output", None, "HTML file to write. Default: explorer.html in the run folder."
)

flags.register_multi_flags_validator(
    ["model_version", "model_label"],
    lambda values: None in values.values(),
    "--model_version and --model_label exclude each other.",
)


def main(argv):
    """Writes the page."""
    del argv
    output = output_path(OUTPUT.value, RUN.value, "explorer", ".html")
    server = _server()
    model, sampler = load_run(RUN.value, SAMPLER.value)
    check_is_rkm(model, RUN.value)
    deviations = np.sqrt(np.asarray(model.explained_variance, "float64"))
    dataset, split = _images(model.image_shape)
    codes = None if dataset is None else _codes(model, dataset)
    chosen = _choice(0 if dataset is None else dataset.num_images)
    if server is None:
        embedded = _embedded(model, sampler, deviations, None if codes is None else codes[chosen])
    page = explorer.explorer_page(
        server or embedded,
        _axes(model, deviations, dataset, codes),
        title=Path(RUN.value).expanduser().resolve().name.removesuffix(".keras"),
        image_shape=model.image_shape,
        max_stddev=MAX_STDDEV.value,
        turns=_turns(dataset, codes),
        sampler=None if sampler is None else explorer.mixture_parameters(sampler),
        images=dataset.images[chosen] if len(chosen) else None,
        codes=codes[chosen] if len(chosen) else None,
        image_names=[_image_name(dataset, split, row) for row in chosen],
        score_name="the share of its information that the axis has",
    )
    write_atomically(output, lambda path: path.write_text(page, encoding="utf-8"))
    told = f"{model.latent_dim} axes, {len(chosen)} images, {len(page) / 1e6:.2f} MB"
    if server is None:
        told += f", pictures within {255 * embedded.max_error:.2f}/255 of the model's"
        if model.dtype_policy.compute_dtype != "float32":
            told += f", which computes in {model.dtype_policy.compute_dtype}, the page in float32"
    print(f"Wrote '{output}': {told}. Open it in a browser.")


def _server() -> explorer.Server | None:
    if not SERVER.value:
        return None
    if SERVER.value.startswith("grpc:"):
        raise errors.CommandError(
            f"--server: a browser speaks REST, not gRPC. Received: {SERVER.value}. Give the REST "
            "port, such as http://localhost:8501.",
            status=errors.USAGE_STATUS,
        )
    try:
        transport = open_transport(
            SERVER.value,
            protocol="rest",
            model_name=MODEL_NAME.value,
            version=MODEL_VERSION.value,
            label=MODEL_LABEL.value,
            max_message_bytes=_ANY_SIZE,
        )
    except ValueError as error:
        raise errors.CommandError(str(error), status=errors.USAGE_STATUS) from error
    if "[" in transport.predict_url:
        raise errors.CommandError(
            "--server: a page can be allowed to ask a host by its name or IPv4 address only. "
            f"Received: {SERVER.value}. Give the host a name.",
            status=errors.USAGE_STATUS,
        )
    return explorer.Server(predict_url=transport.predict_url)


def _images(image_shape: tuple[int, int, int]) -> tuple[Dataset | None, str]:
    """Images that the model was not trained on; None if they are not to be had any more."""
    if DATASET.name_or_path.value is not None:
        return load_images(DATASET, image_shape, num_images=None)
    try:
        dataset = load_held_out(
            RUN.value, data_dir=DATASET.data_dir.value, download=DATASET.download.value
        )
        check_shape(dataset.image_shape, image_shape, dataset.name)
    except (errors.CommandError, ValueError, ImportError, OSError) as error:
        reason, _ = errors.describe(error)
        print(f"No images to start from, and no factors: {reason}", flush=True)
        return None, ""
    return dataset, "held out"


def _codes(model: StiefelRKM, dataset: Dataset) -> np.ndarray:
    batches = dataset.batches(_BATCH_SIZE, shuffle=False)
    return np.concatenate([np.asarray(model.encode(batch)) for batch in batches])


def _choice(num_images: int) -> np.ndarray:
    order = np.random.default_rng(SEED.value).permutation(num_images)
    return order[: NUM_IMAGES.value]


def _image_name(dataset: Dataset, split: str, row: int) -> str:
    name = f"image {row} of {dataset.name}, {split}"
    return name if dataset.labels is None else f"{name}, label {dataset.labels[row]}"


def _axes(
    model: StiefelRKM, deviations: np.ndarray, dataset: Dataset | None, codes: np.ndarray | None
) -> list[explorer.Axis]:
    shares = np.asarray(model.explained_variance_ratio)
    scores = None if dataset is None else _scores(codes, dataset)
    return [
        explorer.Axis(
            stddev=float(deviation), share=float(share), **_followed(scores, index, dataset)
        )
        for index, (deviation, share) in enumerate(zip(deviations, shares, strict=True))
    ]


def _turns(dataset: Dataset | None, codes: np.ndarray | None) -> list[explorer.Turn]:
    """The circles that the codes go round; none without images."""
    if codes is None or len(codes) < 2:
        return []
    polar = rotations.find_polar_planes(codes, seed=SEED.value)
    coordinates = polar.to_polar(codes).numpy()
    scores = _scores(coordinates, dataset) if polar.planes else None
    return [
        explorer.Turn(
            axes=plane.axes,
            center=plane.center,
            stddev=plane.stddev,
            cut=plane.cut,
            radius=float(np.median(coordinates[:, plane.axes[1]])),
            **_followed(scores, plane.axes[0], dataset),
        )
        for plane in polar.planes
    ]


def _followed(scores: np.ndarray | None, latent: int, dataset: Dataset | None) -> dict[str, Any]:
    """The factor that a latent follows, and how well; nothing if there is none."""
    if scores is None or scores[latent].max() < _LEAST_SCORE:
        return {}
    best = scores[latent].argmax()
    name = dataset.factor_info[best].name.replace("_", " ")
    return {"factor": name, "score": float(scores[latent, best])}


def _scores(codes: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    """Which share of the information of a factor an axis has, `(latent_dim, num_factors)`.

    It is 0 for what shuffled factors would give, which with few images is no small number.
    """
    if dataset.factor_classes is None or dataset.num_images < _FEWEST_SCORED:
        return None
    codes, factors = codes[:_MOST_SCORED], dataset.factor_classes[:_MOST_SCORED]
    varies = np.ptp(factors, axis=0) > 0
    if not varies.any():
        return None
    factors = factors[:, varies]
    generator = np.random.default_rng(SEED.value)
    found = _information(codes, factors)
    chance = np.mean(
        [_information(codes, generator.permutation(factors)) for _ in range(_NUM_SHUFFLES)], axis=0
    )
    entropies = [scipy.stats.entropy(np.bincount(column)) for column in factors.T]
    scores = np.zeros((codes.shape[1], len(varies)))
    scores[:, varies] = np.clip((found - chance) / (np.array(entropies) - chance), 0, 1)
    return scores


def _information(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return metrics.mutual_information_gap(codes, factors).matrix


def _embedded(
    model: StiefelRKM, sampler: Sampler | None, deviations: np.ndarray, codes: np.ndarray | None
) -> explorer.EmbeddedDecoder:
    offset = np.zeros(model.latent_dim)
    if model.decoder_centering == "none":
        offset = np.asarray(model.feature_mean) @ np.asarray(model.basis)
    probes = _latents(_NUM_PROBES, sampler, deviations, codes, seed=0)
    batches = np.array_split(probes, -(-len(probes) // _BATCH_SIZE))
    return explorer.embed_decoder(
        model.decoder,
        basis=np.asarray(model.basis),
        offset=offset,
        latents=_latents(_NUM_LATENTS, sampler, deviations, codes, seed=1),
        probes=probes,
        expected=np.concatenate([np.asarray(model.decode(batch)) for batch in batches]),
    )


def _latents(
    number: int,
    sampler: Sampler | None,
    deviations: np.ndarray,
    codes: np.ndarray | None,
    *,
    seed: int,
) -> np.ndarray:
    """Latents from all over what sliders, samples and images can reach, float32."""
    generator, dim = np.random.default_rng(seed), len(deviations)
    reach = _MARGIN * MAX_STDDEV.value
    positions = [
        generator.uniform(-reach, reach, (number, dim)),
        generator.normal(size=(number, dim)),
        *(share * reach * np.eye(dim) for share in (-1, -0.5, 0, 0.5, 1)),
    ]
    latents = [np.concatenate(positions) * deviations]
    if sampler is not None:
        latents.append(np.asarray(sampler.sample(number, seed=seed)))
    if codes is not None:
        latents.append(codes)
    return np.concatenate(latents).astype("float32")


if __name__ == "__main__":
    errors.run(main)
