"""Kills exports of a model at random moments, and looks at what they leave.

    python -m tests.export.kill_export --kills=20

It exports a version, then starts one export after another in a process of its own, each killed by
SIGKILL at a random moment of its writing, and checks by `verify_export` and `check_servable` that
every version there is whole.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from keras_rkm import export, samplers
from keras_rkm.export.versions import list_versions

from .conftest import LATENT_DIM, make_model

_EXPORT = """
import sys
import keras_rkm
model, _ = keras_rkm.load(sys.argv[1])
sampler = keras_rkm.samplers.StandardNormalSampler(model.latent_dim)
print("ready", flush=True)
keras_rkm.export.export_for_serving(model, sampler, sys.argv[2], keep=2)
"""


def main():
    """Prints how many exports were killed, and what is left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    wait = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        model_file, base_dir = Path(folder, "model.keras"), Path(folder, "base")
        model = make_model()
        model.save(model_file)
        start = time.monotonic()
        sampler = samplers.StandardNormalSampler(LATENT_DIM)
        export.export_for_serving(model, sampler, base_dir)
        seconds = time.monotonic() - start
        num_killed = 0
        for _ in range(arguments.kills):
            # A second more, so that some are killed while they rename, prune or have just ended.
            num_killed += _kill_one(model_file, base_dir, wait.uniform(0, seconds + 1))
            whole = list_versions(base_dir / "st_rkm")
            for version in whole:
                path = base_dir / "st_rkm" / str(version)
                export.verify_export(path)
                export.check_servable(path)
            if not whole:
                sys.exit("No version is left.")
        left = [path.name for path in (base_dir / "st_rkm").iterdir() if path.name[0] == "."]
        print(
            f"{arguments.kills} exports, {num_killed} of them killed before their end: the "
            f"versions {whole} are whole. Folders of killed exports beside them: {len(left)}."
        )


def _kill_one(model_file, base_dir, seconds) -> bool:
    """Starts an export and kills it so long after it began; False if it was faster."""
    process = subprocess.Popen(
        [sys.executable, "-c", _EXPORT, model_file, base_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


if __name__ == "__main__":
    main()
