"""Traversals and samples of all methods side by side, as a table of pictures."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from .report import Choice
from .study import Cell, Study


def write_gallery(study: Study, choices: Mapping[str, Choice], output_dir: Path) -> str:
    """Copies the pictures of the first seed of each method to `output_dir/pictures`.

    Args:
        study: `Study`.
        choices: By method, as of `choose`.
        output_dir: Path, the folder of the study.

    Returns:
        A Markdown section with a row of pictures for the traversals and one for each sampler;
        empty if there are no pictures.
    """
    names = [method.name for method in study.methods]
    rows = []
    for title, file_name in _kinds(study):
        cells = []
        for method in study.methods:
            choice = choices[method.name]
            cell = Cell(method, choice.setting, study.seeds[0])
            source = output_dir / cell.folder / file_name(choice)
            cells.append(_copied(source, output_dir, f"{cell.folder.parent.name}-{title}.png"))
        if any(cells):
            rows.append(f"| {title} | {' | '.join(cells)} |")
    if not rows:
        return ""
    head = [f"| seed {study.seeds[0]} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    return "\n".join(["## Pictures", "", *head, *rows]) + "\n"


def _kinds(study: Study) -> list[tuple]:
    """A title, and from the choice of a method to the name of its file."""
    kinds = [("traversal", lambda choice: f"traversal-{choice.rotation}.png")]
    for sampler in study.measuring.samplers:
        kinds.append((f"samples-{sampler}", lambda _, name=sampler: f"samples-{name}.png"))
    return kinds


def _copied(source: Path, output_dir: Path, name: str) -> str:
    if not source.is_file():
        return ""
    (output_dir / "pictures").mkdir(exist_ok=True)
    shutil.copyfile(source, output_dir / "pictures" / name)
    return f"![{source.stem}](pictures/{name})"
