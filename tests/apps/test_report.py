"""`keras-rkm report`: what stands in the report is what the run holds."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import keras_rkm
from apps.data import load_train_and_held_out

_OWN_PICTURES = {"distances", "neighbours", "energies"}


@pytest.fixture
def report(run_alone):
    def run(folder, *arguments):
        return run_alone("report", f"--run={folder}", *arguments)

    return run


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


class _Reader(HTMLParser):
    """The cells of all tables, and the pictures by what they show."""

    def __init__(self):
        super().__init__()
        self.rows, self.pictures, self._in_cell = [], {}, False

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        self._in_cell = tag in ("td", "th")
        if self._in_cell:
            self.rows[-1].append("")
        if tag == "img":
            found = dict(attrs)
            self.pictures[found["alt"]] = base64.b64decode(found["src"].split(",")[1])

    def handle_endtag(self, tag):
        self._in_cell = False

    def handle_data(self, data):
        if self._in_cell:
            self.rows[-1][-1] += data


def _html(folder):
    reader = _Reader()
    reader.feed((folder / "report.html").read_text(encoding="utf-8"))
    return reader


def _markdown_rows(folder):
    lines = (folder / "report.md").read_text(encoding="utf-8").splitlines()
    cells = [line[2:-2].split(" | ") for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in cells]


def test_report_holds_flags_curves_axes_neighbours_and_energies(report, run):
    result = report(run, "--num_samples=20", "--num_images=50")
    assert result.status == 0, result.err
    markdown, reader = (run / "report.md").read_text(), _html(run)
    rows = _markdown_rows(run)
    for line in (run / "flags.txt").read_text().split():
        if "=" in line:
            assert list(line.split("=", 1)) in rows
    assert reader.rows  # the same tables in both
    assert [row[:2] for row in reader.rows if row[0].startswith("--")] == [
        row for row in rows if row[0].startswith("--")
    ]
    metrics = json.loads((run / "metrics.json").read_text())
    assert ["loss", f"{metrics['loss']:.4g}"] in rows
    assert ["1", f"{metrics['explained_variance'][0]:.4g}"] in [row[:2] for row in rows]
    # Every picture of the Markdown is a file, and inside of the HTML.
    names = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", markdown)
    assert {name.removesuffix(".png") for name in names} == {
        *("training_curves", "spectrum", "traversal", "samples", "latents", "reconstructions"),
        *_OWN_PICTURES,
    }
    assert sorted(reader.pictures.values()) == sorted((run / name).read_bytes() for name in names)
    assert f"keras-rkm evaluate --run={run}" in markdown

    # The numbers, found again with other means.
    model, sampler = keras_rkm.load(run)
    train, held_out = load_train_and_held_out("dsprites_like", num_images=100, image_size=16)
    samples = np.clip(np.asarray(model.generate(20, sampler, seed=0), "float64"), 0, 1)
    samples = np.round(255 * samples) / 255
    distances = [np.sqrt(np.square(train.images / 255 - s).sum(axis=(1, 2, 3))) for s in samples]
    nearest = np.min(distances, axis=1)
    (row,) = [row for row in rows if row[0] == "samples"]
    assert row[1] == "20"
    assert float(row[2]) == pytest.approx(nearest.min(), rel=0.01)
    assert float(row[3]) == pytest.approx(np.median(nearest), rel=0.01)
    energies = np.asarray(model.energy(held_out.images.astype("float32") / 255))
    (row,) = [row for row in rows if row[:2] == ["energy", "held out"]]
    assert float(row[2]) == pytest.approx(energies.mean(), rel=1e-3)
    # The sample that is closest to a training image stands first, beside that image.
    picture = np.asarray(Image.open(run / "neighbours.png"))
    closest = train.images[np.argmin(distances[np.argmin(nearest)])]
    tile = np.kron(closest[..., 0], np.ones((4, 4), np.uint8))
    left = picture.shape[1] - 7 - 3 * 66
    top = 14 + 2 * 7 + 2
    assert np.array_equal(picture[top : top + 64, left : left + 64, 0], tile)


def test_evaluation_is_in_the_report(report, run):
    metrics = json.loads((run / "metrics.json").read_text())
    measured = {
        "dci_lasso": {
            "scores": {"disentanglement": 0.375},
            "report": {"directions": {"disentanglement": "higher is better"}},
        }
    }
    metrics["evaluation"] = {
        "images": "some, held out",
        "measured": measured,
        "skipped": {"frechet_distance": "no features"},
    }
    (run / "metrics.json").write_text(json.dumps(metrics))
    shutil.copy(run / "spectrum.png", run / "importances.png")
    result = report(run, "--num_samples=2", "--num_images=4")
    assert result.status == 0, result.err
    rows = _markdown_rows(run)
    assert ["dci_lasso", "disentanglement", "0.375", "higher is better"] in rows
    assert ["frechet_distance", "no features"] in rows
    assert "keras-rkm evaluate" not in (run / "report.md").read_text()
    assert "(importances.png)" in (run / "report.md").read_text()


def test_what_is_missing_is_said(report, vivid, tmp_path):
    folder = shutil.copytree(vivid, tmp_path / "run")
    result = report(folder)
    assert result.status == 0, result.err
    text = (folder / "report.md").read_text()
    assert "There is no flags.txt" in text
    assert f"keras-rkm train --output_dir={folder} --resume" in text
    assert "The images of the run cannot be had" in text
    assert not (folder / "neighbours.png").exists()


def test_images_that_have_changed_are_not_compared_with(report, run):
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({**metrics, "num_train_images": 7}))
    assert report(run).status == 0
    assert (
        "have changed since the training: num_train_images was 7" in (run / "report.md").read_text()
    )


def test_model_without_an_energy_has_a_report(report, baseline, tmp_path):
    folder = shutil.copytree(baseline, tmp_path / "run")
    assert report(folder).status == 0
    assert "A InfoGAN has no energy" in (folder / "report.md").read_text()


def test_name_of_the_folder_is_no_markup(report, vivid, tmp_path):
    folder = shutil.copytree(vivid, tmp_path / "<b>run")
    assert report(folder).status == 0
    html = (folder / "report.html").read_text()
    assert "<b>" not in html
    assert "<title>Run &lt;b&gt;run</title>" in html


def test_run_must_be_a_folder_with_a_model(report, run, tmp_path):
    result = report(run / "model.keras")
    assert (result.status, result.error.endswith("which is a file.")) == (1, True)
    assert "does not exist" in report(tmp_path / "nowhere").error
