"""How every command ends: with success, or with one line on standard error and a status.

0     done
1     something could not be done: a file, the data, the disk, the training
2     the command line is wrong
130   interrupted, as by Ctrl-C
143   terminated, as by a batch system that wants its machine back
"""

import functools
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import app, flags, logging

# What TensorFlow says of an error of a Python function in an input pipeline.
_PYTHON_ERROR = re.compile(r".*?: [A-Za-z]+Error: (.*?)\n+Traceback \(most recent.*", re.DOTALL)

USAGE_STATUS = 2
INTERRUPT_STATUS = 130
TERMINATE_STATUS = 143


_PREAMBLES = ("Graph execution error:", "Detected at node", "<stack traces unavailable>")
_PLACES = ("[[", "Traceback (most recent call last)")
_PIPELINE = re.compile(
    r"^Error in user-defined function passed to \S+ transformation .*? Iterator::\S+: "
)


class CommandError(Exception):
    """Says in one line what went wrong and what to do; ends the program with `status`.

    Args:
        message: Str.
        status: Int, the exit status. Defaults to 1.
    """

    def __init__(self, message: str, *, status: int = 1):
        super().__init__(message)
        self.status = status


class Terminated(KeyboardInterrupt):
    """SIGTERM came; no `Exception`, so that nothing on the way takes it for a mere error."""


def run(main: Callable, argv: Sequence[str] | None = None) -> None:
    """Runs a command as `absl.app.run` does, but reports errors as above, and ends the process.

    A traceback is left to mistakes of the program itself; `--verbosity=1` shows all of them.

    Args:
        main: Callable that takes the arguments which are no flags, the program's name first.
        argv: The command line; that of the process if None.
    """
    argv = list(sys.argv if argv is None else argv)
    program = _program_name(argv[0])
    app.run(
        functools.partial(_run_main, main, program),
        argv=argv,
        flags_parser=functools.partial(_parse_flags, program),
    )


def describe(error: BaseException) -> tuple[str, int] | None:
    """What to tell a person, in one line, and the exit status; None for a mistake of the program.

    Args:
        error: Any exception.
    """
    if isinstance(error, CommandError):
        message, status = str(error), error.status
    elif isinstance(error, flags.Error):
        message, status = str(error), USAGE_STATUS
    elif isinstance(error, Terminated):
        message, status = "terminated", TERMINATE_STATUS
    elif isinstance(error, KeyboardInterrupt):
        message, status = "interrupted", INTERRUPT_STATUS
    elif isinstance(error, OSError) and error.strerror and error.filename:
        message, status = f"{error.strerror}: '{error.filename}'", 1
    elif isinstance(error, OSError | ValueError | ImportError | ArithmeticError):
        message, status = str(error), 1
    elif isinstance(error, MemoryError):
        message, status = f"out of memory. {error}", 1
    elif _is_tensorflow_error(error):
        message, status = _essence(_PYTHON_ERROR.sub(r"\1", error.message)), 1
    else:
        return None
    return " ".join(message.split()), status


def _run_main(main: Callable, program: str, argv: Sequence[str]):
    try:
        if argv[1:]:
            raise CommandError(
                f"a flag looks like --name=value. Received: {' '.join(argv[1:])}",
                status=USAGE_STATUS,
            )
        return main(argv)
    except (Exception, KeyboardInterrupt) as error:
        return _report(program, error)


def _parse_flags(program: str, argv: Sequence[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
        if not flags.FLAGS["verbosity"].present:
            # absl would have applications show the notes of TensorFlow.
            logging.set_verbosity(logging.WARNING)
        return rest
    except flags.Error as error:
        sys.exit(_report(program, error))
    except OSError as error:  # absl raises its own error for a --flagfile that is not there
        sys.exit(_report(program, error))


def _report(program: str, error: BaseException) -> int:
    described = describe(error)
    if described is None:
        raise error
    message, status = described
    logging.debug("the exception behind the error", exc_info=error)
    print(f"{program}: error: {message}", file=sys.stderr)
    return status


def _program_name(path: str) -> str:
    """`keras-rkm train`, also of `apps/train.py`."""
    return path if path.startswith("keras-rkm") else f"keras-rkm {Path(path).stem}"


def _essence(message: str) -> str:
    """What a message of TensorFlow says, without where in the graph it was."""
    lines = []
    for line in message.splitlines():
        if lines and line.lstrip().startswith(_PLACES):
            break
        if line.strip() and not line.startswith(_PREAMBLES):
            lines.append(line)
    return _PIPELINE.sub("", " ".join(lines)) or message


def _is_tensorflow_error(error: BaseException) -> bool:
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(error, tensorflow.errors.OpError)
