"""The flags of a run as a file that `--flagfile` takes."""

import csv
import re
from collections.abc import Iterable

from absl import flags

from .errors import USAGE_STATUS, CommandError, describe
from .run_folder import RunFolder, write_atomically

_MAX_BYTES = 2**20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def write_flags(run: RunFolder, names: Iterable[str]) -> None:
    """Writes the values of the flags to the `flags.txt` of a run, defaults included."""
    lines = [line for name in names if (line := _line(name))]
    write_atomically(
        run.flags_file, lambda path: path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    )


def adopt_flags(run: RunFolder, names: Iterable[str]) -> None:
    """Gives the flags the values that the run was started with.

    Raises:
        CommandError: If a flag of the command line has another value than there, or the file has
            been damaged.
    """
    try:
        started = {_name(line): line for line in _read_lines(run)}
    except ValueError as error:
        raise CommandError(f"'{run.flags_file}' is damaged: {error}") from error
    names = list(names)
    given = [name for name in names if flags.FLAGS[name].present]
    differing = [name for name in given if _line(name) != started.get(name, "")]
    if differing:
        listed = ", ".join(
            f"{_line(name) or f'--{name}'} (was {started.get(name) or 'not given'})"
            for name in differing
        )
        raise CommandError(
            f"the run in '{run.path}' was started with other flags: {listed}. Leave them out to "
            "resume it, or choose another --output_dir.",
            status=USAGE_STATUS,
        )
    rest = [line for name, line in started.items() if name not in given]
    try:
        if unknown := set(started) - set(names):
            raise flags.Error(f"no flag of a run: {', '.join(sorted(unknown))}")
        flags.FLAGS(["", *rest])
    except (flags.Error, ValueError, csv.Error) as error:
        raise CommandError(f"'{run.flags_file}' is damaged: {error}") from error


def read_flags(run: RunFolder) -> dict[str, str]:
    """The flags in the `flags.txt` of a run as texts by name; a bool flag is "true" or "false".

    Raises:
        CommandError: If there is no such file, or it has been damaged.
    """
    try:
        lines = _read_lines(run)
    except (OSError, ValueError) as error:
        raise CommandError(
            f"'{run.path}' does not tell which images it was trained on: its {run.flags_file.name} "
            f"cannot be read ({describe(error)[0]}). Choose the images by --dataset."
        ) from error
    found = {}
    for line in lines:
        name, equals, value = line.removeprefix("--").partition("=")
        is_negation = not equals and name.startswith("no")
        found[name.removeprefix("no") if is_negation else name] = (
            value if equals else str(not is_negation).lower()
        )
    return found


def _read_lines(run: RunFolder) -> list[str]:
    with run.flags_file.open("rb") as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES} bytes")
    lines = [line for line in map(str.strip, text.decode("utf-8").split("\n")) if line]
    if wrong := [line for line in lines if not line.startswith("--") or _CONTROL.search(line)]:
        raise ValueError(f"a line must read --name=value. Received: {wrong[0][:80]!r}")
    return lines


def _line(name: str) -> str:
    """`--name=value`, or nothing for a flag without a value."""
    return flags.FLAGS[name].serialize() if flags.FLAGS[name].value is not None else ""


def _name(line: str) -> str:
    name = line.strip().removeprefix("--").split("=", 1)[0]
    is_negation = name.startswith("no") and name not in flags.FLAGS
    return name.removeprefix("no") if is_negation else name
