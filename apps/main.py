"""The command `keras-rkm`: runs one of the programs of this folder.

    keras-rkm COMMAND [--flags]

is the same as `python -m apps.COMMAND [--flags]` in a checkout.
"""

import difflib
import importlib
import sys
from collections.abc import Sequence

from absl import flags

from keras_rkm import __version__

from .errors import run

# One line per command: the name of a sibling module with a `main(argv)`, and what it does.
COMMANDS = {
    "train": "train a Stiefel-Restricted Kernel Machine and write its run folder",
    "generate": "draw images from the sampler of a run",
    "traverse": "show what each axis of a run does, as a picture and an animation",
    "explore": "write a page with a slider for each axis of a run, which opens in any browser",
    "energy": "score images by the energy of a run, and write a CSV file",
    "evaluate": "measure a run: reconstruction, disentanglement, generation, orthogonality",
    "report": "write a report of a run, as Markdown and as one HTML file",
    "compare": "train and measure the methods of a study file, and write a report",
    "export": "export a run for TensorFlow Serving",
    "client": "ask a TensorFlow Serving for images, latents or traversals",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command named by the first argument.

    Args:
        argv: The arguments after the program's name; those of the process if None.

    Returns:
        The exit status: 0 after help or version, 2 for an unknown command. A command that runs
        ends the process itself.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if command == "--version":
        print(f"keras-rkm {__version__}")
        return 0
    if command not in COMMANDS:
        print(_unknown(command), file=sys.stderr)
        return 2
    _run(command, arguments[1:])
    return 0


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: keras-rkm COMMAND [--flags]",
            "",
            "commands:",
            *lines,
            "",
            "keras-rkm COMMAND --help lists the flags of a command.",
            "keras-rkm --version shows the version.",
        ]
    )


def _unknown(command: str) -> str:
    close = difflib.get_close_matches(command, COMMANDS)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Commands: {', '.join(COMMANDS)}."
    return f"keras-rkm: there is no command '{command}'. {hint}"


def _run(command: str, arguments: list[str]) -> None:
    module = importlib.import_module(f".{command}", package=__package__)
    # absl's --help shows the docstring of __main__ and the flags filed under sys.argv[0]; both
    # would be those of the console script, which has none.
    sys.argv[0] = f"keras-rkm {command}"
    sys.modules["__main__"].__doc__ = module.__doc__
    for flag in flags.FLAGS.get_key_flags_for_module(module):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    run(module.main, argv=[sys.argv[0], *arguments])


if __name__ == "__main__":
    sys.exit(main())
