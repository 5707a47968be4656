"""The explorer of a model in headless Chromium: size of its file, first picture, slider to picture.

    python benchmarks/explorer.py [--run=FOLDER] [--screenshot=FILE]

Without --run it trains a model of 64x64 images for --steps first: with hardly trained weights any
rounding would do. The page is opened from disk by a fresh browser each time; a picture counts when
its pixels are in the canvas and the browser has made its next frame. Differences are those of
pictures of random latents, within the ends of the sliders, from `model.decode`. --screenshot writes
a PNG of the page, which starts from its first image if it has any.
"""

import contextlib
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import _browser
import _reporting
import numpy as np
from absl import app, flags

import keras_rkm

_RUN = flags.DEFINE_string("run", None, "Folder of a run that has ended.")
_DATASET = flags.DEFINE_string("dataset", "shapes3d_like", "Images to train on.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Height and width.", lower_bound=4)
_CAPACITY = flags.DEFINE_integer("capacity", 32, "Filters of the first convolution.", lower_bound=1)
_LATENT_DIM = flags.DEFINE_integer("latent_dim", 10, "Number of axes.", lower_bound=1)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 8_000, "Images to train on.", lower_bound=10)
_STEPS = flags.DEFINE_integer("steps", 500, "Training steps.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 5, "Times the page is opened.", lower_bound=1)
_MOVES = flags.DEFINE_integer("moves", 20, "Moves of a slider each time.", lower_bound=1)
_SCREENSHOT = flags.DEFINE_string("screenshot", None, "File for a picture of the page, in PNG.")
_NUM_LATENTS = 200
_BARS = {"file MB": "< 3", "first picture ms": "< 1000", "slider to picture ms": "< 100"}

# Moves the first slider, one step each time, and waits for the frame that shows the picture.
_MOVE = """
(async () => {
  const slider = document.querySelector('.axis input'), times = [];
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  for (let i = 0; i < args[0]; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    slider.value = -2 + (4 * i) / args[0];
    const start = performance.now();
    slider.dispatchEvent(new Event('input'));
    await frame();
    times.push(performance.now() - start);
  }
  return times;
})()
"""


def _command(*arguments: str) -> None:
    """Runs a command of the checkout; if it fails, it has said why."""
    command = [sys.executable, "-m", "apps.main", *arguments]
    result = subprocess.run(command, cwd=Path(__file__).parents[1], stdout=sys.stderr)
    if result.returncode:
        sys.exit(result.returncode)


def _trained(folder: Path) -> Path:
    run = folder / "run"
    _command(
        "train",
        f"--dataset={_DATASET.value}",
        f"--image_size={_IMAGE_SIZE.value}",
        f"--num_images={_NUM_IMAGES.value}",
        f"--capacity={_CAPACITY.value}",
        f"--latent_dim={_LATENT_DIM.value}",
        f"--steps={_STEPS.value}",
        f"--output_dir={run}",
    )
    return run


@contextlib.contextmanager
def _opened(page: Path, profile: Path):
    """A browser that shows the page, and its first picture."""
    browser = _browser.start(profile)
    try:
        browser.get(page.as_uri())
        _browser.call(browser, "explorer.ready")
        yield browser
    finally:
        browser.quit()


def _measured(page: Path, profile: Path) -> tuple[float, list[float]]:
    """Milliseconds to the first picture, and of each move of a slider."""
    with _opened(page, profile) as browser:
        marks = "performance.getEntriesByName('first-picture')[0].startTime"
        return _browser.call(browser, marks), _browser.call(browser, _MOVE, _MOVES.value)


def _largest_difference(page: Path, profile: Path, model) -> float:
    deviations = np.sqrt(np.asarray(model.explained_variance))
    values = np.random.default_rng(12).uniform(-3, 3, (_NUM_LATENTS, len(deviations)))
    latents = (values * deviations).astype("float32")
    with _opened(page, profile) as browser:
        decode = "explorer.decode(args[0]).then(Array.from)"
        rows = [_browser.call(browser, decode, [latent.tolist()]) for latent in latents]
    expected = np.clip(np.asarray(model.decode(latents)), 0, 1)
    return float(np.abs(np.clip(rows, 0, 1).reshape(expected.shape) - expected).max())


def _save_screenshot(page: Path, profile: Path, path: Path) -> None:
    with _opened(page, profile) as browser:
        _browser.call(browser, "document.querySelector('#gallery button')?.click()")
        _browser.call(browser, "new Promise((resolve) => setTimeout(resolve, 500))")
        browser.save_screenshot(str(path))


def main(argv):
    """Measures one page several times."""
    del argv
    if reason := _browser.missing():
        sys.exit(f"This {reason}.")
    picture = Path(_SCREENSHOT.value) if _SCREENSHOT.value else None
    if picture and not (picture.suffix == ".png" and picture.parent.is_dir()):
        sys.exit(f"--screenshot must be a .png file in a folder that is there. Received: {picture}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = Path(_RUN.value).expanduser().resolve() if _RUN.value else _trained(folder)
        page = folder / "explorer.html"
        _command("explore", f"--run={run}", f"--output={page}")
        model = keras_rkm.load(run).model
        firsts, moves = [], []
        for index in range(_REPEATS.value):
            first, times = _measured(page, folder / f"profile{index}")
            firsts.append(first)
            moves += times
        difference = _largest_difference(page, folder / "profile", model)
        size = page.stat().st_size
        if picture:
            _save_screenshot(page, folder / "screenshot", picture)
    _reporting.print_setting(
        "Explorer in headless Chromium",
        threads=0,
        seeds="those of train",
        images="x".join(map(str, model.image_shape)),
        decoder_parameters=f"{model.decoder.count_params():,}",
        latent_dim=model.latent_dim,
    )
    rows = [
        ("file MB", size / 1e6, "-"),
        ("first picture ms", statistics.median(firsts), f"{min(firsts):.0f}-{max(firsts):.0f}"),
        ("slider to picture ms", statistics.median(moves), f"{min(moves):.0f}-{max(moves):.0f}"),
        ("largest difference of a pixel, of 255", 255 * difference, "-"),
    ]
    _reporting.print_table(
        ("what", "median", "lowest-highest", "bar"),
        [(*row, _BARS.get(row[0], "<= 2")) for row in rows],
    )


if __name__ == "__main__":
    app.run(main)
