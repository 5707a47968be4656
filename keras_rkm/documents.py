"""Documents of a few kinds of blocks, as Markdown and as HTML in a single file.

>>> blocks = [Heading("Results"), Table(("name", "value"), [("loss", "<3")])]
>>> print(to_markdown(blocks))
## Results
<BLANKLINE>
| name | value |
|---|---|
| loss | &lt;3 |
<BLANKLINE>
>>> "<td>&lt;3</td>" in to_html(blocks, title="A run")
True
"""

import base64
import dataclasses
import html
import re
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 3."""

    text: str
    level: int = 2


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclasses.dataclass(frozen=True)
class Command:
    """Lines for a shell."""

    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of plain text; each has as many cells as the header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG file: what it is called beside the Markdown, what it shows, and its bytes."""

    file_name: str
    caption: str
    png: bytes


Block = Heading | Paragraph | Command | Table | Picture

_CSS = """
:root { color-scheme: light dark; --text: #222; --back: #fff; --line: #ccc; --soft: #f3f3f3; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --back: #181818; --line: #444; --soft: #262626; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
       max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .5rem; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; margin: .5rem 0; }
th, td { border: 1px solid var(--line); padding: .25rem .6rem; text-align: left; }
th { background: var(--soft); }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; background: #fff; }
figcaption { font-size: .9rem; opacity: .8; }
"""


def to_markdown(blocks: Sequence[Block]) -> str:
    """The document as Markdown; its pictures are files beside it.

    Args:
        blocks: Sequence of `Heading`, `Paragraph`, `Command`, `Table` and `Picture`.

    Returns:
        Str.
    """
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def to_html(blocks: Sequence[Block], *, title: str) -> str:
    """The document as one HTML file that needs no other: pictures are inside of it.

    It follows the colour scheme of the reader. All text is escaped.

    Args:
        blocks: As of `to_markdown`.
        title: Str, of the window.

    Returns:
        Str.
    """
    body = "\n".join(_html(block) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_escaped(block.text)}"
    if isinstance(block, Paragraph):
        return _escaped(block.text)
    if isinstance(block, Command):
        return f"```bash\n{block.text}\n```"
    if isinstance(block, Picture):
        return f"![{_escaped(block.caption)}]({block.file_name})"
    lines = [block.header, *block.rows]
    texts = [f"| {' | '.join(map(_escaped, cells))} |" for cells in lines]
    return "\n".join([texts[0], "|---" * len(block.header) + "|", *texts[1:]])


def _escaped(text: str) -> str:
    """Text that Markdown takes as it is, in one line."""
    text = re.sub(r"([\\`*\[\]|#])", r"\\\1", " ".join(text.split()))
    # An underscore within a word is one; at its edge it would be an emphasis.
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
    return html.escape(text, quote=False)


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{html.escape(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Command):
        return f"<pre><code>{html.escape(block.text)}</code></pre>"
    if isinstance(block, Picture):
        data = base64.b64encode(block.png).decode()
        caption = html.escape(block.caption)
        return (
            f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in block.header)
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in block.rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )
