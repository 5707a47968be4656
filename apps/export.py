"""Exports a trained model and its sampler for TensorFlow Serving.

    keras-rkm export --run=saved_models/first

adds the next version to saved_models/first/serving/st_rkm, next to a models.config;
docs/serving.md says how to start a server with them, and how to ask it.
"""

import json
from pathlib import Path

import numpy as np
from absl import flags

from keras_rkm import export

from . import errors
from .run_folder import RunFolder
from .run_inputs import define_positive, define_sampler, load_run

RUN = flags.DEFINE_string("run", None, "The run folder that train has written, or a .keras file.")
SAMPLER = define_sampler()
OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "The folder of the models of a server. Default: serving in the run folder."
)
NAME = flags.DEFINE_string("name", "st_rkm", "Name of the model in the server.")
VERSION = flags.DEFINE_integer(
    "version", None, "Version that is not taken. Default: the one after the highest.", lower_bound=1
)
KEEP = flags.DEFINE_integer(
    "keep", None, "How many of the highest versions to keep. Default: all.", lower_bound=1
)
NUM_STEPS = flags.DEFINE_integer(
    "num_steps", 13, "Images of a traversal, which the server cannot change.", lower_bound=1
)
MAX_STDDEV = define_positive(
    "max_stddev", 3.0, "Traversals go this many standard deviations to each side."
)
SERVING_ROOT = flags.DEFINE_string(
    "serving_root", "/models", "The path of --output_dir as the server sees it, for models.config."
)
VERIFY = flags.DEFINE_string(
    "verify", None, "Only compare the files of this exported version with its checksums."
)

flags.register_multi_flags_validator(
    ["run", "verify"],
    lambda values: (values["run"] is None) != (values["verify"] is None),
    "give either --run, to export it, or --verify, to check an exported version.",
)


def main(argv):
    """Exports a version, or verifies one."""
    del argv
    if VERIFY.value is not None:
        manifest = export.verify_export(VERIFY.value)
        print(f"'{VERIFY.value}' is whole: {len(manifest['sha256'])} files as they were written.")
        return
    model, sampler = load_run(RUN.value, SAMPLER.value)
    if sampler is None:
        raise errors.CommandError(
            f"'{RUN.value}' has no sampler of latents to export with it. Pass one as --sampler."
        )
    path = export.export_for_serving(
        model,
        sampler,
        _output_dir(),
        VERSION.value,
        name=NAME.value,
        keep=KEEP.value,
        traverse_steps=np.linspace(-MAX_STDDEV.value, MAX_STDDEV.value, NUM_STEPS.value).tolist(),
        serving_root=SERVING_ROOT.value,
        metadata=_metadata(),
    )
    signatures = sorted(export.verify_export(path)["signatures"])
    print(f"Wrote '{path}' with the signatures {', '.join(signatures)}.")
    print(
        f"To serve it: docker run -p 8500:8500 -p 8501:8501 -v '{_output_dir().resolve()}:"
        f"{SERVING_ROOT.value}' tensorflow/serving --model_config_file={SERVING_ROOT.value}/"
        "models.config"
    )


def _output_dir() -> Path:
    if OUTPUT_DIR.value is not None:
        return Path(OUTPUT_DIR.value).expanduser()
    run = Path(RUN.value).expanduser()
    return (run if run.is_dir() else run.parent) / "serving"


def _metadata() -> dict:
    """Flags and metrics of the run, as far as they are there."""
    run = RunFolder(RUN.value)
    found = {}
    if run.flags_file.is_file():
        found["flags"] = run.flags_file.read_text(encoding="utf-8").splitlines()
    if run.metrics_file.is_file():
        try:
            found["metrics"] = json.loads(run.metrics_file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise errors.CommandError(
                f"'{run.metrics_file}' is damaged: {error}. Remove it to export without metrics."
            ) from error
    return found


if __name__ == "__main__":
    errors.run(main)
