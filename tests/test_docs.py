"""What the pages tell people to type: commands and Python are run, or at least parsed.

`_HOW` says which commands are executed, with which flags to make them small, and which are only
parsed, and why. The blocks of a page that are Python run one after the other in one namespace.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from keras_rkm.comparison import parse_study

_ROOT = Path(__file__).resolve().parents[1]
_PAGES = [
    *("README.md", "BUILD.md", "CONTRIBUTING.md", "examples/README.md", "benchmarks/README.md"),
    *sorted(str(path.relative_to(_ROOT)) for path in (_ROOT / "docs").glob("*.md")),
    *sorted(str(p.relative_to(_ROOT)) for p in (_ROOT / "benchmarks/results").glob("*/*.md")),
]
_TINY = (
    *("--image_size=16", "--num_images=60", "--capacity=2", "--feature_dim=8", "--latent_dim=3"),
    *("--batch_size=16", "--epochs=1", "--summary_share=0"),
)
_README = "executed for README.md, with other folders or numbers"
_SERVER = "it needs a server; tests/apps/test_client.py runs the client against an emulator"
_TARGET = "CI runs `make test`; of the others the target is looked up in the Makefile"
_LONG = "it takes minutes to hours; tests/test_benchmarks.py runs the programs small"


class _Run(NamedTuple):
    """Executed, with further flags that make it small."""

    flags: tuple[str, ...] = ()


class _Parse(NamedTuple):
    """Only parsed."""

    reason: str


# The first row that fits counts. Commands in the middle of a line of text are parsed.
_HOW = {
    r"keras-rkm train .*--strategy=multi_worker": _Parse("it needs several machines"),
    r"keras-rkm train .*--strategy=mirrored": _Parse("tests/apps/test_strategy.py runs it"),
    r"keras-rkm train .*--epochs=10 ": _Parse(_README),
    r"keras-rkm train .*--resume": _Run(),
    r"keras-rkm train .*--flagfile=saved_models": _Parse("tests/apps/test_train.py does it"),
    r"keras-rkm train .*": _Run(_TINY),
    r"keras-rkm export .*--keep": _Parse(_README),
    r"keras-rkm evaluate .*--features": _Parse(
        "it needs a classifier; tests/apps/test_evaluate.py"
    ),
    r"keras-rkm evaluate .*--dataset": _Run(
        ("--image_size=16", "--num_images=60", "--num_resamples=2", "--measures=dci_lasso")
    ),
    r"keras-rkm evaluate .*": _Run(("--measures=reconstruction_error,dci_lasso",)),
    r"keras-rkm energy .*": _Run(("--image_size=16", "--num_images=20")),
    r"keras-rkm export .*--serving_root=/srv": _Parse("it writes outside of the checkout"),
    r"keras-rkm explore .*--server": _Run(("--num_images=2",)),
    r"keras-rkm explore .*": _Run(("--num_images=2",)),
    r"keras-rkm report .*": _Run(("--num_samples=4",)),
    r"keras-rkm (generate|traverse|export) .*": _Run(),
    r"keras-rkm client .*": _Parse(_SERVER),
    r"keras-rkm compare .*": _Parse("hours; tests/comparison and tests/apps run small studies"),
    r"saved_model_cli .*": _Run(),
    r"python examples/.*": _Parse("tests/examples runs them all"),
    r"python benchmarks/.*": _Parse(_LONG),
    r"python -m tests\..*": _Parse(_LONG),
    r"tensorboard .*": _Parse("a server without an end; its folder has to be there"),
    r"make .*": _Parse(_TARGET),
    r"git clone .*": _Parse("it needs the address of a repository"),
    r"python3 -m webbrowser .*": _Parse(
        "it opens a window; tests/explorer opens pages in a browser without one"
    ),
    r"(docker|tensorflow_model_server|curl) .*": _Parse("not at hand, as the page says"),
    r"(python3\.11 -m venv|my-environment/bin/|pip install|sudo apt-get) ?.*": _Parse(
        "it installs; of the package the extras are looked up in pyproject.toml"
    ),
}
_PROGRAMS = (
    r"(?:keras-rkm|python[.\d]*|make|tensorboard|docker|saved_model_cli|curl|pip|sudo|"
    r"tensorflow_model_server|my-environment/bin/\S+) "
)
# Pages whose commands go on with the run that those of the README make, one after the other.
_FIRST = ("README.md", "docs/explorer.md", "docs/serving.md", "docs/metrics.md", "docs/training.md")


def _text(page):
    return (_ROOT / page).read_text()


def _blocks(page):
    """Yields the text of a page in parts, each with the language of its fence, "" for prose."""
    for index, part in enumerate(re.split(r"^```", _text(page), flags=re.MULTILINE)):
        language, _, text = part.partition("\n")
        yield (language, text) if index % 2 else ("", part)


def _fenced(page, language):
    return [text for found, text in _blocks(page) if found == language]


def _commands(page):
    """The commands in blocks, in their order: fenced ones, and indented ones."""
    for language, text in _blocks(page):
        text = re.sub(r" \\\n\s*", " ", text)
        if language in ("sh", "bash"):
            yield from (_words(line) for line in text.splitlines() if line.strip())
        elif not language:
            yield from map(_words, re.findall(rf"^    ({_PROGRAMS}.*)$", text, re.MULTILINE))


def _inline(page):
    """The commands between backticks in a line of text, such as those of a table."""
    for language, text in _blocks(page):
        if not language:
            spans = re.findall(r"`((?:\w+=\S+ )?(?:keras-rkm|python|make) [^`:]+)`", text)
            yield from map(_words, spans)


def _words(line):
    """The words of a command, without a comment and without what it sets in the environment."""
    words = shlex.split(line, comments=True)
    while re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    return words


def _how(words):
    command = " ".join(words) + " "
    return next((pattern for pattern in _HOW if re.match(pattern, command)), None)


@pytest.fixture(scope="module")
def work():
    """A function `work(**job) -> answer`, see docs_runner.py."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.docs_runner"],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def ask(**job):
        process.stdin.write(json.dumps({key: _plain(value) for key, value in job.items()}) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        if "DOCS_CPU" in os.environ:  # to see where the time goes
            print(answer["cpu"], job.get("argv", "python"), file=sys.stderr)
        assert answer["status"] == 0, f"{job.get('argv')}\n{answer['out'][-3000:]}"
        return answer["out"]

    yield ask
    process.stdin.close()
    process.wait(60)


def _plain(value):
    return str(value) if isinstance(value, Path) else value


@pytest.fixture
def folder(tmp_path):
    """Where commands are executed: in a checkout, as far as they can tell."""
    (tmp_path / "examples").symlink_to(_ROOT / "examples")
    (tmp_path / "saved_models").mkdir()
    return tmp_path


def _execute(work, pages, folder):
    """Executes or parses the commands of pages, one that stands there twice only once."""
    done = set()
    for words in (words for page in pages for words in _commands(page)):
        how = _HOW[_how(words)]
        if isinstance(how, _Parse):
            _parse(work, words, folder)
        elif tuple(words) not in done:
            work(kind="run", argv=[*words, *how.flags], cwd=folder)
            done.add(tuple(words))


def _parse(work, words, folder):
    """Looks up what a command names: flags and values, files, targets, extras."""
    if words[0] == "keras-rkm" or words[:1] == ["python"] and words[1].endswith(".py"):
        work(kind="parse", argv=words, cwd=_ROOT)
    elif words[:2] == ["python", "-m"]:
        assert (_ROOT / f"{words[2].replace('.', '/')}.py").is_file(), words
    elif words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        for target in targets:
            assert re.search(rf"^{target}:", _text("Makefile"), re.MULTILINE), words
    elif words[0] == "tensorboard":
        assert (folder / words[-1].removeprefix("--logdir=")).is_dir(), words
    for extra in re.findall(r"\[(\w+)\]", " ".join(words) if "pip" in words[0] else ""):
        assert extra in _project()["optional-dependencies"], words
    for word in words:
        value = word.partition("=")[2] or word
        if re.match(r"(benchmarks|examples|docs)/\S+\.\w+$", value):
            assert (_ROOT / value).is_file(), words


def _project():
    return tomllib.loads(_text("pyproject.toml"))["project"]


@pytest.mark.slow
def test_commands_of_the_readme_and_what_goes_on_with_them(work, folder):
    _execute(work, _FIRST, folder)


@pytest.mark.slow
def test_commands_of_make_demo_work(work, folder):
    told = subprocess.run(
        ["make", "-n", "demo", "DEMO_DIR=saved_models/tried"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    commands = [_words(line) for line in re.findall(r"^\S+/(keras-rkm .*)$", told, re.MULTILINE)]
    assert [words[1] for words in commands] == [
        "train",
        "traverse",
        "explore",
        "evaluate",
        "export",
    ]
    for words in commands:
        work(kind="run", argv=[*words, *_HOW[_how(words)].flags], cwd=folder)
    assert (folder / "saved_models/tried/explorer.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in _PAGES if any(_commands(p)) and p not in _FIRST])
def test_commands_of_the_page_work(page, work, folder):
    _execute(work, [page], folder)


@pytest.mark.parametrize("page", [page for page in _PAGES if any(_inline(page))])
def test_commands_in_the_text_name_flags_and_files_that_are_there(page, work, tmp_path):
    for words in _inline(page):
        _parse(work, [word for word in words if word != "..."], tmp_path)


def test_every_command_has_a_row_and_every_row_a_command():
    rows = [(page, words, _how(words)) for page in _PAGES for words in _commands(page)]
    assert not [(page, words) for page, words, row in rows if row is None]
    used = {row for *_, row in rows}
    used |= {_how(words) for page in _PAGES for words in _inline(page)}
    assert set(_HOW) <= used


# Of each page with Python: what it takes as given, and what makes it small.
_MODEL = """
import keras, keras_rkm, numpy as np
from keras_rkm import datasets, networks, samplers
keras.utils.set_random_seed(0)
def small_model(shape, latent_dim=3):
    model = keras_rkm.models.StiefelRKM(
        networks.dense_encoder(shape, 8, hidden_dims=()),
        networks.dense_decoder(8, shape, hidden_dims=(8,)),
        latent_dim=latent_dim,
    )
    model.compile()
    return model
"""
_PYTHON = {
    "README.md": (
        "",
        {"20_000": "200", "image_size=32": "image_size=16", "capacity=16": "capacity=2"}
        | {"epochs=10": "epochs=1"},
        "assert all(map(__import__('os').path.exists, ['samples.png', 'model.keras']))",
    ),
    "docs/baselines.md": (
        f"{_MODEL}\nimages = np.random.default_rng(0).random((8, 28, 28, 1), 'float32')\n",
        {
            "feature_dim=128)": "feature_dim=128, capacity=2)",
            "(28, 28, 1))": "(28, 28, 1), capacity=2)",
        },
        "assert model.generate(2, sampler).shape == (2, 28, 28, 1)",
    ),
    "docs/choosing.md": (
        f"{_MODEL}\nmodel = small_model((16, 16, 1))\n"
        "turns = np.linspace(0, 2 * np.pi, 1000).reshape(-1, 1, 1, 1)\n"
        "parts = np.random.default_rng(0).uniform(-1, 1, (2, 1, 16, 16, 1))\n"
        "images = (2 + np.cos(turns) * parts[0] + np.sin(turns) * parts[1]).astype('float32') / 4\n"
        "model.fit_principal_axes(images, method='ica')\n",
        {},
        "assert polar.planes and np.allclose(turned, model.decode(latents), atol=1e-4)",
    ),
    "docs/datasets.md": (
        f"{_MODEL}\nmodel = small_model((64, 64, 1))\n"
        "paths = [f'{i}.npy' for i in range(16)]\n"
        "for path in paths: np.save(path, np.zeros((64, 64, 1), 'uint8'))\n",
        {
            "20_000": "300",
            "=79": "=1",
            "epochs=50": "epochs=1",
            "stream.batches(256": "stream.batches(8",
        }
        | {"stream.num_images // 256": "stream.num_images // 8"},
        "assert stream.num_images == 16 and sprites.render(classes).shape == (3, 64, 64, 1)",
    ),
    "docs/metrics.md": (
        f"{_MODEL}\nmodel = small_model((32, 32, 1))\n"
        "test = datasets.load('dsprites_like', num_images=150, image_size=32)\n"
        "train_images = test.images.astype('float32') / 255\n"
        "model.fit(train_images, verbose=0)\nmodel.fit_principal_axes(train_images)\n"
        "sampler = samplers.GaussianSampler().adapt(model.encode(train_images))\n"
        "keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Flatten(),\n"
        "    keras.layers.Dense(4), keras.layers.Dense(3)]).save('classifier.keras')\n",
        {"2_000": "150", "10_000": "150", "num_rotations=10": "num_rotations=1"}
        | {
            "num_resamples=50": "num_resamples=2",
            "sampler=sampler)": "sampler=sampler, measures=['dci_lasso'])",
        }
        | {"every=5": "every=1"},
        "assert report['disentanglement'] >= 0",
    ),
    "docs/scaling.md": (
        "",
        {
            '"dsprites_like")': '"dsprites_like", num_images=64)',
            "1024": "32",
            "epochs=10": "epochs=1",
        }
        | {"(64, 64, 1), 128)": "(64, 64, 1), 12, capacity=2)"}
        | {"(128, (64, 64, 1))": "(12, (64, 64, 1), capacity=2)"},
        "assert 0.048 < step_seconds(0.048, 8, 1e11, 5e-6) < 0.05",
    ),
    "docs/training.md": (
        f"{_MODEL}\nheld_out_images = np.zeros((16, 16, 16, 1), 'uint8')\n"
        "__import__('os').makedirs('saved_models/first')\n"
        "small_model((16, 16, 1)).save('saved_models/first/model.keras')\n"
        "samplers.StandardNormalSampler(latent_dim=3).save('saved_models/first/sampler.keras')\n",
        {},
        "assert __import__('os').path.isdir('logs/pictures')",
    ),
    "docs/tutorial.md": (
        "",
        {"8000": "200", "image_size=32": "image_size=16", "capacity=16": "capacity=2"}
        | {"steps_per_epoch=125": "steps_per_epoch=2", "epochs=20": "epochs=1"},
        "assert path.is_dir() and __import__('os').path.exists('axis-1.png')",
    ),
}
# Blocks that are only compiled, by a text in them.
_ONLY_COMPILED = {
    "MultiWorkerMirroredStrategy": "several machines; tests/models/test_distribution.py",
    "ServingClient(": _SERVER,
}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in _PAGES if _fenced(page, "python")])
def test_python_of_the_page_works(page, work, folder):
    blocks = _fenced(page, "python")
    for block in blocks:
        compile(block, page, "exec")
    blocks = [block for block in blocks if not any(text in block for text in _ONLY_COMPILED)]
    if not blocks:
        return
    before, changes, after = _PYTHON[page]
    code = "\n".join(blocks)
    for old, new in changes.items():
        assert old in code, f"{page} has no {old!r} any more"
        code = code.replace(old, new)
    work(kind="python", code="\n".join([before, code, after]), cwd=folder)


def test_only_compiled_blocks_are_there():
    everything = "\n".join(block for page in _PAGES for block in _fenced(page, "python"))
    assert all(text in everything for text in _ONLY_COMPILED)


def test_study_file_of_the_page_is_one():
    (block,) = _fenced("docs/comparison.md", "toml")
    study = parse_study({"name": "example", **tomllib.loads(block)})
    assert [method.name for method in study.methods] == ["St-RKM", "beta-VAE"]
