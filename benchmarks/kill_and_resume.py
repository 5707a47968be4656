"""Kills trainings by SIGKILL at random moments, has them go on, and compares what comes out.

    python benchmarks/kill_and_resume.py [--kills=30] [--seed=0] [--threads=1]

A training of `keras-rkm train`, with a checkpoint after every step, is killed several times, goes
on by --resume each time, and then to its end. Every second kill waits for a checkpoint that is
being written. The last checkpoint (weights, states of both optimizers, counters), the final model,
the sampler, the history and the metrics have to be those of a training that was never interrupted,
bit for bit. The program fails if they are not. With more than one thread TensorFlow itself may sum
the validation losses in another order each time; the name of what differs tells.

Each training is a process of its own, forked from this one, which has imported TensorFlow and used
nothing of it: that saves the seconds of the import. This needs Linux, for the CPU time of others.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import _reporting

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tensorflow_probability  # noqa: E402, F401  (once, not in each process)

import keras_rkm  # noqa: E402
from apps import errors, train  # noqa: E402
from apps.run_folder import RunFolder  # noqa: E402
from keras_rkm.checkpoints import CheckpointStore  # noqa: E402

_RUN = (
    "--image_size=16",
    "--num_images=300",
    "--capacity=2",
    "--feature_dim=8",
    "--latent_dim=3",
    "--batch_size=32",
    "--reconstruction_mode=noisy",
    "--noise_stddev=0.1",
    "--checkpoint_steps=1",
)
_SAVING = "writing a checkpoint"
_HEADER = ("training", "kill", "moment", "goes on after step")
_POLL_SECONDS = 0.01
_POLL_SECONDS_IN_SAVING = 0.0005


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30, help="How many in all.")
    parser.add_argument("--kills_per_run", type=int, default=5, help="Before a run may end.")
    parser.add_argument("--epochs", type=int, default=2, help="Of a run; 9 steps each.")
    parser.add_argument("--seed", type=int, default=0, help="Decides the moments.")
    parser.add_argument("--threads", type=int, default=1, help="Of TensorFlow; 0: its choice.")
    arguments = parser.parse_args()
    if min(arguments.kills, arguments.kills_per_run, arguments.epochs) < 1:
        parser.error("--kills, --kills_per_run and --epochs must be positive")
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(_measure(arguments, Path(folder)))


def _measure(arguments, folder: Path) -> int:
    moments = random.Random(arguments.seed)
    _reporting.set_threads(arguments.threads)  # a setting, which the forked processes inherit
    flags = [*_RUN, f"--epochs={arguments.epochs}"]
    whole = folder / "whole"
    cpu_seconds = _finish(whole, flags)
    _reporting.print_setting(
        "Trainings killed at random moments",
        threads=arguments.threads,
        seeds=arguments.seed,
        CPU_seconds_of_a_training=round(cpu_seconds, 1),
    )
    rows, differing, num_runs = [], {}, 0
    while len(rows) < arguments.kills:
        num_runs += 1
        run = folder / f"run_{num_runs}"
        for kill in range(1, min(arguments.kills_per_run, arguments.kills - len(rows)) + 1):
            moment = _kill_once(
                run, flags, moments.uniform(0, cpu_seconds), in_saving=len(rows) % 2 == 1
            )
            if moment is None:  # It has come to its end.
                break
            rows.append((num_runs, kill, moment, _last_step(run)))
        else:
            _finish(run, flags)
        if found := _fork_and_compare(run, whole):
            differing[num_runs] = found
        summary = f"{len(rows)} kills, {num_runs} trainings, {len(differing)} of them differ"
        print(summary, file=sys.stderr, flush=True)
    _reporting.print_table(_HEADER, rows)
    saving = sum(moment == _SAVING for _, _, moment, _ in rows)
    _reporting.print_table(
        ("kills", "of them while a checkpoint was written", "trainings", "not bit-identical"),
        [(len(rows), saving, num_runs, len(differing))],
    )
    for run, what in differing.items():
        print(f"Differing in training {run}: {', '.join(what)}")
    return 1 if differing else 0


def _kill_once(run: Path, flags, cpu_seconds: float, *, in_saving: bool) -> str | None:
    """Starts or resumes a training and kills it; says in which moment, None if it ended before."""
    left = _half_written(run)  # by an earlier kill
    process = _fork_training(run, flags)
    while _cpu_seconds(process) < cpu_seconds:
        time.sleep(_POLL_SECONDS)
        if _has_ended(process):
            return None
    while in_saving and not _half_written(run) - left:
        time.sleep(_POLL_SECONDS_IN_SAVING)
        if _has_ended(process):
            return None
    os.kill(process, signal.SIGKILL)
    if not os.WIFSIGNALED(os.waitpid(process, 0)[1]):
        return None
    return _SAVING if _half_written(run) - left else _moment(run)


def _cpu_seconds(process: int) -> float:
    """What a process has taken: on a busy machine the moment of a kill is one of its work."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _finish(run: Path, flags) -> float:
    """Has a training come to its end; returns its CPU seconds."""
    _, status, usage = os.wait4(_fork_training(run, flags), 0)
    if status:
        sys.exit(f"A training ended with status {status}:\n{_log(run).read_text()}")
    return usage.ru_utime + usage.ru_stime


def _fork_training(run: Path, flags) -> int:
    # As a person would do: --resume where there is a run.
    resume = ["--resume"] if (run / "flags.txt").exists() else []

    def training():
        with _log(run).open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        errors.run(train.main, ["keras-rkm train", *flags, *resume, f"--output_dir={run}"])

    return _fork(training)


def _fork(function) -> int:
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        function()
    except SystemExit as ended:
        status = ended.code or 0
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(status)


def _has_ended(process: int) -> bool:
    ended, status = os.waitpid(process, os.WNOHANG)
    if ended and status:
        sys.exit(f"A training ended with status {status}, and was not killed.")
    return bool(ended)


def _log(run: Path) -> Path:
    return run.with_suffix(".log")


def _half_written(run: Path) -> set[Path]:
    return set((run / "checkpoints").glob(".writing-*"))


def _last_step(run: Path) -> int:
    steps = CheckpointStore(run / "checkpoints").steps()
    return steps[-1] if steps else 0


def _moment(run: Path) -> str:
    if not (run / "flags.txt").exists():
        return "before the training"
    announced = re.findall(r"^Training: (?:all )?(\d+) steps", _log(run).read_text(), re.M)
    is_done = bool(announced) and _last_step(run) == int(announced[-1])
    return "writing the results" if is_done else "training"


def _fork_and_compare(run: Path, whole: Path) -> list[str]:
    """What differs, found in a process of its own, since it takes TensorFlow to load a model."""
    receiver, sender = os.pipe()

    def compare():
        os.write(sender, json.dumps(_differences(run, whole)).encode())
        sys.exit(0)

    process = _fork(compare)
    os.close(sender)
    with os.fdopen(receiver) as pipe:
        text = pipe.read()
    os.waitpid(process, 0)
    return json.loads(text) if text else ["could not be compared"]


def _differences(run: Path, whole: Path) -> list[str]:
    differing = []
    ours, theirs = (CheckpointStore(path / "checkpoints").load() for path in (run, whole))
    if ours.position != theirs.position:
        differing.append("the position of the last checkpoint")
    for name in {**ours.state, **theirs.state}:  # generators of random numbers, and metrics
        if ours.state.get(name) != theirs.state.get(name):
            differing.append(f"the state of {name} in the last checkpoint")
    models = {"checkpoint": (ours.model, theirs.model)}
    models["model.keras"] = [keras_rkm.load(path).model for path in (run, whole)]
    for name, (our_model, their_model) in models.items():
        for a, b in zip(_variables(our_model), _variables(their_model), strict=True):
            if a.numpy().tobytes() != b.numpy().tobytes():
                differing.append(f"{a.path} of the {name}")
    if _members(run / "sampler.keras") != _members(whole / "sampler.keras"):
        differing.append("sampler.keras")
    if (run / "history.csv").read_bytes() != (whole / "history.csv").read_bytes():
        ours, theirs = (RunFolder(path).read_history() for path in (run, whole))
        names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        differing.append(f"{' '.join(names)} of history.csv")
    if _metrics(run) != _metrics(whole):
        differing.append("metrics.json")
    return differing


def _variables(model) -> list:
    return [*model.variables, *model.optimizer.variables]


def _members(path: Path) -> dict[str, int]:
    with zipfile.ZipFile(path) as archive:
        return {
            member.filename: member.CRC
            for member in archive.infolist()
            if member.filename != "metadata.json"  # which has the date
        }


def _metrics(run: Path) -> dict:
    metrics = json.loads((run / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if name != "training_seconds"}


if __name__ == "__main__":
    main()
