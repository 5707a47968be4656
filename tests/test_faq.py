"""Every message that docs/faq.md quotes is one that the code has."""

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_QUOTES = re.findall(r"^> (.+)$", (_ROOT / "docs" / "faq.md").read_text(), re.MULTILINE)
_LEAST = 20  # characters of a quote that have to be in the code


def _texts():
    """The strings of the code that are no docstrings, with "…" for what is filled in."""
    for folder in ("keras_rkm", "apps"):
        for path in (_ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "…"
                        for part in node.values
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


@pytest.fixture(scope="module")
def texts():
    return [" ".join(text.split()) for text in _texts()]


def _is_in(quote, texts):
    """Whether the parts of a quote between its "…" stand in one of the texts, in their order."""
    pattern = re.compile(".*".join(re.escape(part.strip()) for part in quote.split("…")))
    return any(map(pattern.search, texts))


def test_there_are_quotes():
    assert len(_QUOTES) > 20


@pytest.mark.parametrize("quote", _QUOTES)
def test_quoted_message_is_in_the_code(quote, texts):
    assert len(quote.replace("…", "")) >= _LEAST, "too little of it is quoted"
    assert _is_in(quote, texts)


def test_a_message_that_nobody_writes_is_not_found(texts):
    assert not _is_in("Images must lie in [0, 2] for the …", texts)
