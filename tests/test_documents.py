"""Documents say the same as Markdown and as HTML, and no text becomes markup."""

import base64
from html.parser import HTMLParser

import pytest

from keras_rkm.documents import (
    Command,
    Heading,
    Paragraph,
    Picture,
    Table,
    to_html,
    to_markdown,
)

_HOSTILE = '<script>alert("1")</script> & *a* | _b_ [c](d) `e`'


class _Reader(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


def _read(blocks, title="title"):
    reader = _Reader()
    reader.feed(to_html(blocks, title=title))
    return reader


@pytest.mark.parametrize(
    "block",
    [
        Heading(_HOSTILE, level=3),
        Paragraph(_HOSTILE),
        Command(_HOSTILE),
        Table((_HOSTILE,), [("x",)]),
        Table(("x",), [(_HOSTILE,)]),
        Picture("a.png", _HOSTILE, b"png"),
    ],
)
def test_text_is_escaped_in_html(block):
    reader = _read([block], title=_HOSTILE)
    assert "script" not in reader.tags
    assert _HOSTILE in reader.text


def test_table_has_its_cells_in_both():
    table = Table(("name", "value"), [("a|b", "1"), ("val_loss", "2")])
    assert to_markdown([table]) == (
        "| name | value |\n|---|---|\n| a\\|b | 1 |\n| val_loss | 2 |\n"
    )
    reader = _read([table])
    assert reader.tags.count("td") == 4
    assert reader.tags.count("th") == 2


def test_markdown_of_hostile_text_has_no_markup():
    (line,) = to_markdown([Paragraph(f"{_HOSTILE}\nx")]).splitlines()
    assert line == (
        '&lt;script&gt;alert("1")&lt;/script&gt; &amp; \\*a\\* \\| \\_b\\_ \\[c\\](d) \\`e\\` x'
    )


def test_pictures_are_inside_the_html_and_beside_the_markdown():
    picture = Picture("a.png", "what it shows", bytes(range(256)))
    attributes = dict(_read([picture]).attributes)
    head, data = attributes["src"].split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == picture.png
    assert attributes["alt"] == "what it shows"
    assert to_markdown([picture]) == "![what it shows](a.png)\n"


def test_html_is_whole_and_needs_no_other_file():
    text = to_html([Heading("x"), Picture("a.png", "b", b"png")], title="Run")
    assert text.startswith("<!DOCTYPE html>")
    reader = _Reader()
    reader.feed(text)
    assert not {"link", "script", "iframe"} & set(reader.tags)
    sources = [value for name, value in reader.attributes if name in ("src", "href")]
    assert all(value.startswith("data:") for value in sources)
    assert "prefers-color-scheme: dark" in text
    assert "url(" not in text
