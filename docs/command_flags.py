"""The flags of every command of `keras-rkm`, as Markdown."""

import importlib
import multiprocessing

from absl import flags

from apps.main import COMMANDS


def commands_as_markdown() -> str:
    """A section for each command: what it does, and a table of its flags."""
    # Each in a process of its own, since commands define flags of the same names.
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        return "\n\n".join(pool.map(_section, COMMANDS, chunksize=1))


def _section(command: str) -> str:
    module = importlib.import_module(f"apps.{command}")
    rows = [
        f"| `--{flag.name}` | {_default(flag)} | {_cell(flag.help)} |"
        for flag in flags.FLAGS.get_key_flags_for_module(module)
    ]
    head = f"## keras-rkm {command}\n\n{module.__doc__.strip()}\n\n"
    return head + "\n".join(["| flag | default | |", "|---|---|---|", *rows])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _default(flag: flags.Flag) -> str:
    text = (flag.default_as_str or "").strip("'")
    return f"`{text}`" if text else ""
