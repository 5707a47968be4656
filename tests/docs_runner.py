"""Runs commands and Python for tests/test_docs.py, each in a fork of one process.

The imports take seconds, and two commands may define flags of one name. Reads a job a line from
standard input, `{"kind": ..., "cwd": ..., ...}`, and answers each by a line `{"status": ...,
"out": ..., "cpu": ...}`. Kinds: `run` and `parse` (`argv`), `python` (`code`).
"""

import importlib
import json
import os
import re
import runpy
import sys
import tempfile
import traceback
from pathlib import Path

from absl import flags

from apps import main as dispatcher

_ROOT = Path(__file__).resolve().parents[1]


def _run(argv):
    program, *arguments = argv
    if program == "keras-rkm":
        sys.argv = list(argv)
        return dispatcher.main(arguments)
    if program == "saved_model_cli":
        sys.argv = list(argv)
        runpy.run_module("tensorflow.python.tools.saved_model_cli", run_name="__main__")
        return 0
    sys.argv = [str(_ROOT / arguments[0]), *arguments[1:]]  # python FILE
    runpy.run_path(sys.argv[0], run_name="__main__")
    return 0


def _parse(argv):
    """Raises an error unless every flag is one of the program and takes its value."""
    program, *arguments = argv
    if program == "keras-rkm":
        importlib.import_module(f"apps.{arguments.pop(0)}")
    else:
        path = _ROOT / arguments.pop(0)
        source = path.read_text()
        if "argparse" in source:
            known = set(re.findall(r'add_argument\("--(\w+)"', source))
            unknown = {_split(argument)[0] for argument in arguments} - known
            if unknown:
                raise ValueError(f"no such flags: {sorted(unknown)}")
            return 0
        sys.path.insert(0, str(path.parent))
        runpy.run_path(str(path), run_name="parsed")
    for argument in arguments:
        name, value = _split(argument)
        if name in ("help", "flagfile"):  # absl defines them when it runs a program
            continue
        flag = flags.FLAGS[name]
        if value is not None:
            flag.parse(value)
    return 0


def _split(argument):
    name, _, value = argument.removeprefix("--").partition("=")
    return name, value or None


def _python(code):
    exec(compile(code, "docs", "exec"), {"__name__": "docs"})
    return 0


def _answer(job):
    """Does a job in a child, whose exit status is that of the program."""
    with tempfile.TemporaryFile() as out:
        before = os.times()
        child = os.fork()
        if not child:
            os._exit(_in_child(job, out.fileno()))
        _, status = os.waitpid(child, 0)
        after = os.times()
        out.seek(0)
        text = out.read().decode(errors="replace")
    cpu = sum(after[2:4]) - sum(before[2:4])
    return {"status": os.waitstatus_to_exitcode(status), "out": text, "cpu": round(cpu, 2)}


def _in_child(job, out):
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(job["cwd"])
    try:
        if job["kind"] == "python":
            status = _python(job["code"])
        else:
            status = {"run": _run, "parse": _parse}[job["kind"]](job["argv"])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int | None) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status or 0


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)
