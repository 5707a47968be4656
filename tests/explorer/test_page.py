"""The page in a real browser: what it shows is what the model decodes."""

import base64
import io
import urllib.parse

import keras
import numpy as np
import pytest
from PIL import Image

from benchmarks import _browser
from keras_rkm import networks, samplers
from keras_rkm.explorer import (
    Axis,
    Server,
    Turn,
    embed_decoder,
    explorer_page,
    mixture_parameters,
)
from tests.serving.emulator import Emulator
from tests.serving.model_store import ModelConfig
from tests.serving.toy_model import IMAGE_SHAPE, LATENT_DIM, ToyModel, export_toy_model

from .decoders import FEATURE_DIM, strengthened, with_many_layers

TOLERANCE = 2 / 255
STDDEVS = np.array([2.0, 1.0, 0.5])
CIRCLE = Turn(
    axes=(2, 0), center=(0.1, 0.8), stddev=(0.4, 1.6), cut=2.0, radius=1.0, factor="hue", score=0.9
)
_NO_FETCH = "performance.getEntriesByType('resource').map((entry) => entry.name)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if reason := _browser.missing():
        pytest.skip(reason)
    browser = _browser.start(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


class Model:
    """A decoder with a basis and an offset, and the page of it."""

    def __init__(self, decoder: keras.Model, folder, **arguments):
        self.decoder = strengthened(decoder)
        dim = decoder.input_shape[-1]
        generator = np.random.default_rng(0)
        self.basis = np.linalg.qr(generator.normal(size=(dim, 3)))[0].astype("float32")
        self.offset = np.array([0.3, -0.2, 0.1], "float32")
        self.codes = (generator.normal(size=(4, 3)) * STDDEVS).astype("float32")
        self.images = generator.integers(0, 256, (4, *decoder.output_shape[1:]), np.uint8)
        latents = (generator.uniform(-4.5, 4.5, (3_000, 3)) * STDDEVS).astype("float32")
        embedded = embed_decoder(
            decoder,
            basis=self.basis,
            offset=self.offset,
            latents=latents,
            probes=latents[:200],
            expected=self.decode(latents[:200]),
        )
        self.path = folder / "explorer.html"
        self.path.write_text(
            explorer_page(
                embedded,
                [
                    Axis(stddev=STDDEVS[0], share=0.5, factor="hue & <size>", score=0.75),
                    Axis(stddev=STDDEVS[1], share=0.25),
                    Axis(stddev=STDDEVS[2], share=0.05),
                ],
                title="a & <b>",
                turns=[CIRCLE],
                image_shape=decoder.output_shape[1:],
                images=self.images,
                codes=self.codes,
                image_names=[f"image {index}" for index in range(4)],
                **arguments,
            ),
            encoding="utf-8",
        )

    def decode(self, latents) -> np.ndarray:
        features = (np.atleast_2d(latents) + self.offset) @ self.basis.T
        return np.asarray(self.decoder(features.astype("float32"), training=False))


class Page:
    """A page that is open in a browser."""

    def __init__(self, browser, address: str):
        self.browser = browser
        browser.get("about:blank")  # for another fragment alone a page is not loaded again
        browser.get(address)
        self.call("explorer.ready")

    def call(self, expression, *arguments):
        return _browser.call(self.browser, expression, *arguments)

    def do(self, statements):
        """Runs statements, then waits until what they ask for is decoded and drawn."""
        self.call(
            f"(async () => {{ {statements}; await new Promise((r) => setTimeout(r, 30)); }})()"
        )

    def values(self) -> list[float]:
        """Positions of the sliders."""
        return self.call(
            "[...document.querySelectorAll('.axis input')].map((s) => Number(s.value))"
        )

    def move(self, axis, value):
        self.do(
            f"const slider = document.querySelectorAll('.axis input')[{axis}]; "
            f"slider.value = {value}; slider.dispatchEvent(new Event('input'))"
        )

    def pixels(self, selector="#picture") -> np.ndarray:
        """What a canvas shows, in [0, 1]."""
        url = self.call("document.querySelector(args[0]).toDataURL()", selector)
        file = io.BytesIO(base64.b64decode(url.partition(",")[2]))
        image = np.asarray(Image.open(file).convert("RGBA"))
        assert (image[..., 3] == 255).all()
        return image[..., :3] / 255

    def text(self, element) -> str:
        return self.call("document.getElementById(args[0]).textContent", element)


def _assert_shows(page, image, selector="#picture"):
    expected = np.broadcast_to(np.clip(image, 0, 1), (*image.shape[:2], 3))
    np.testing.assert_allclose(page.pixels(selector), expected, atol=TOLERANCE)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A colour model, whose large layer is packed, with a sampler of two components."""
    generator = np.random.default_rng(3)
    centres = np.array([[4, 0, 0], [-4, 1, 0]])
    latents = generator.normal(size=(400, 2, 3)) * [[[0.5, 1, 0.2]], [[1, 0.2, 0.5]]][0] + centres
    sampler = samplers.GaussianMixtureSampler(num_components=2).adapt(latents.reshape(-1, 3))
    model = Model(
        networks.convolutional_decoder(8, (16, 16, 3), capacity=16, hidden_dim=256, seed=1),
        tmp_path_factory.mktemp("colour"),
        sampler=mixture_parameters(sampler),
        score_name="a score",
    )
    model.sampler = sampler
    return model


@pytest.fixture
def page(browser, model):
    """The page of `model`; in the end nothing was fetched, and nothing complained of."""
    page = Page(browser, model.path.as_uri())
    yield page
    assert page.call(_NO_FETCH) == []
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: networks.convolutional_decoder(FEATURE_DIM, (12, 20, 1), capacity=2),
        lambda: networks.dense_decoder(FEATURE_DIM, (4, 4, 1)),
        with_many_layers,
    ],
    ids=["grey", "dense", "many_layers"],
)
def test_every_layer_decodes_as_in_python(browser, make, tmp_path):
    model = Model(make(), tmp_path)
    page = Page(browser, model.path.as_uri())
    latents = (np.random.default_rng(4).uniform(-3, 3, (20, 3)) * STDDEVS).astype("float32")
    expected = model.decode(latents)
    assert np.ptp(expected, axis=0).max() > 0.2
    found = np.array(page.call("explorer.decode(args[0]).then(Array.from)", latents.tolist()))
    np.testing.assert_allclose(
        found.reshape(expected.shape).clip(0, 1), expected.clip(0, 1), atol=TOLERANCE
    )
    _assert_shows(page, model.decode(np.zeros(3))[0])
    assert browser.get_log("browser") == []


def test_sliders_move_the_pixels_as_the_model_would(page, model):
    _assert_shows(page, model.decode(np.zeros(3))[0])
    before = page.pixels()
    values = np.zeros(3)
    for axis, value in ((0, 1.5), (2, -3), (1, 0.35), (0, -2)):
        page.move(axis, value)
        values[axis] = value
        _assert_shows(page, model.decode(values * STDDEVS)[0])
    assert np.abs(page.pixels() - before).max() > 0.2
    assert page.values() == values.tolist()


def test_packed_decoder_stays_near_the_model_everywhere(page, model):
    latents = (np.random.default_rng(5).uniform(-3, 3, (50, 3)) * STDDEVS).astype("float32")
    found = np.array(page.call("explorer.decode(args[0]).then(Array.from)", latents.tolist()))
    expected = model.decode(latents)
    assert 0 < np.abs(found.reshape(expected.shape) - expected).max() <= TOLERANCE


def _on_circle(degrees, radius):
    """Latents on the circles of `CIRCLE`, whose other axis is at its mean."""
    angle = np.deg2rad(degrees) + CIRCLE.cut + np.pi
    latents = np.zeros(3)
    latents[[2, 0]] = CIRCLE.center + radius * np.multiply(
        CIRCLE.stddev, [np.cos(angle), np.sin(angle)]
    )
    return latents


def _turn(page, degrees):
    page.do(
        f"const slider = document.querySelector('.turn input'); slider.value = {degrees}; "
        "slider.dispatchEvent(new Event('input'))"
    )


def test_slider_of_a_circle_goes_round_it(page, model):
    at_mean = np.subtract(0, CIRCLE.center) / CIRCLE.stddev
    radius = np.hypot(*at_mean)
    degrees = np.rad2deg(np.arctan2(*at_mean[::-1]) - CIRCLE.cut) % 360 - 180
    shown = "Number(document.querySelector('.turn input').value)"
    assert page.call(shown) == round(degrees)
    before = page.pixels()
    for degrees in (30, -179, 100):
        _turn(page, degrees)
        _assert_shows(page, model.decode(_on_circle(degrees, radius))[0])
        assert page.call(shown) == degrees
    assert np.abs(page.pixels() - before).max() > 0.2
    assert page.values()[1] == 0
    # From its center, where there is no direction to keep, to the circle of most codes.
    page.move(0, CIRCLE.center[1] / STDDEVS[0])
    page.move(2, CIRCLE.center[0] / STDDEVS[2])
    _turn(page, -60)
    _assert_shows(page, model.decode(_on_circle(-60, CIRCLE.radius))[0])
    name = page.call("document.querySelector('.turn input').ariaLabel")
    assert name == "Circle of axes 3 and 1, follows hue, score 0.90"


def test_ends_of_the_sliders_and_ways_round_the_circles_are_shown(page, model):
    page.call("new Promise((resolve) => setTimeout(resolve, 1200))")
    radius = np.hypot(*np.divide(CIRCLE.center, CIRCLE.stddev))
    for child, degrees in ((1, -160), (6, 40), (9, 160)):
        image = model.decode(_on_circle(degrees, radius))[0]
        _assert_shows(page, image, f".turn .round > :nth-child({child})")
    for end, value in ((1, -3), (3, 3)):
        selector = f".axis:nth-child(2) > :nth-child({end})"
        _assert_shows(page, model.decode([0, value * STDDEVS[1], 0])[0], selector)


def test_samples_have_the_distribution_of_the_sampler(page, model):
    drawn = np.array(page.call("Array.from({length: 4000}, explorer.sample)"))
    expected = np.asarray(model.sampler.sample(4_000, seed=0))
    for sign in (1, -1):
        ours, its = drawn[sign * drawn[:, 0] > 0], expected[sign * expected[:, 0] > 0]
        assert len(ours) == pytest.approx(len(its), rel=0.1)
        np.testing.assert_allclose(ours.mean(axis=0), its.mean(axis=0), atol=0.1)
        np.testing.assert_allclose(np.cov(ours.T), np.cov(its.T), atol=0.1)


def test_random_draws_and_mean_resets(page, model):
    page.do("document.getElementById('random').click()")
    first = page.values()
    page.do("document.getElementById('random').click()")
    assert first != page.values() and any(first)
    state = page.call("new Promise((r) => setTimeout(() => r(location.hash), 400))")
    values = np.array([float(v) for v in state.removeprefix("#z=").split(",")])
    _assert_shows(page, model.decode(values * STDDEVS)[0])
    page.do("document.getElementById('reset').click()")
    assert page.values() == [0, 0, 0]
    _assert_shows(page, model.decode(np.zeros(3))[0])


def test_image_sets_its_code_and_two_are_interpolated(page, model):
    pick = "document.querySelectorAll('#gallery button')[{}].click()"
    page.do(pick.format(2))
    _assert_shows(page, model.decode(model.codes[2])[0])
    assert "image 2" in page.text("status")
    assert page.call("document.getElementById('blend-slider').disabled")
    page.do(f"document.getElementById('end').click(); {pick.format(1)}")
    _assert_shows(page, model.decode(model.codes[1])[0])
    page.do(
        "const s = document.getElementById('blend-slider'); s.value = 0.25; "
        "s.dispatchEvent(new Event('input'))"
    )
    between = 0.75 * model.codes[2] + 0.25 * model.codes[1]
    _assert_shows(page, model.decode(between)[0])
    names = page.call("['start', 'end'].map((id) => document.getElementById(id).ariaLabel)")
    assert names == ["Start, image 2", "End, image 1"]


def test_address_holds_the_state(page, browser, model):
    page.move(1, -1.25)
    address = page.call("new Promise((r) => setTimeout(() => r(location.href), 400))")
    assert urllib.parse.urlsplit(address).fragment == "z=0,-1.25,0"
    again = Page(browser, address)
    assert again.values() == [0, -1.25, 0]
    _assert_shows(again, model.decode([0, -1.25 * STDDEVS[1], 0])[0])
    # A link to a way between images, in a page that is open.
    again.do("location.hash = '#start=0&end=3&t=0.5'; await new Promise((r) => setTimeout(r, 100))")
    _assert_shows(again, model.decode((model.codes[0] + model.codes[3]) / 2)[0])


@pytest.mark.parametrize(
    "fragment", ["z=1,2", "z=1,x,2", "z=1,1e9,0", "z=NaN,0,0", "start=9&end=-1&t=2", "t=0.5", "z"]
)
def test_address_that_makes_no_sense_is_the_mean(browser, model, fragment):
    page = Page(browser, f"{model.path.as_uri()}#{fragment}")
    assert page.values() == [0, 0, 0]
    assert browser.get_log("browser") == []


def test_code_beyond_the_ends_stretches_its_slider(browser, model):
    page = Page(browser, f"{model.path.as_uri()}#z=0,4.5,0")
    assert page.values() == [0, 4.5, 0]
    _assert_shows(page, model.decode([0, 4.5 * STDDEVS[1], 0])[0])


def test_keys_do_what_the_buttons_do(page, browser):
    from selenium.webdriver.common.keys import Keys

    keyboard = browser.switch_to.active_element.send_keys
    keyboard("2")
    assert page.call("document.activeElement.ariaLabel").startswith("Axis 2,")
    slider = browser.switch_to.active_element
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.values() == [0, 0.1, 0]
    slider.send_keys(Keys.END)
    assert page.values() == [0, 3, 0]
    slider.send_keys(Keys.BACKSPACE)
    assert page.values() == [0, 0, 0]
    slider.send_keys("r")
    assert any(page.values())
    slider.send_keys("0")
    assert page.values() == [0, 0, 0]


def test_a_slider_that_reaches_further_does_not_shrink_while_it_is_moved(page):
    page.do("location.hash = '#z=4.5,0,0'; await new Promise((r) => setTimeout(r, 100))")
    reach = "Number(document.querySelector('.axis input').max)"
    assert page.call(reach) == 5
    page.move(0, 1.0)
    assert page.call(reach) == 5
    page.do("document.getElementById('reset').click()")
    assert page.call(reach) == 3


@pytest.mark.parametrize("by", ["button", "key"])
def test_a_link_is_copied_at_once(page, browser, model, by):
    address = f"{model.path.as_uri()}#z=0,0,2.5"
    page.move(2, 2.5)
    if by == "button":
        page.do("document.getElementById('share').click()")
    else:
        page.do("dispatchEvent(new KeyboardEvent('keydown', {key: 'L'}))")
    assert page.call("location.href") == address
    assert page.text("status").startswith("The end of the address is in the ")


def test_what_is_said_of_a_picture_goes_with_it(page):
    page.do("document.querySelectorAll('#gallery button')[2].click()")
    shown = "!document.getElementById('original').hidden"
    assert "image 2" in page.text("status") and page.call(shown)
    page.move(0, 1)
    assert page.text("status") == "" and not page.call(shown)
    page.do("document.getElementById('random').click()")
    assert "random" in page.text("status")
    _turn(page, 50)
    assert page.text("status") == ""


def test_everything_has_a_name(page):
    tree = page.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    live = [node for node in tree if node.get("role", {}).get("value") == "status"]
    assert len(live) == 1  # or a screen reader would read out every number that moves
    named = {}
    for node in tree:
        role, name = (node.get(key, {}).get("value") for key in ("role", "name"))
        if role in ("slider", "button", "image", "heading"):
            assert name, node
            named.setdefault(role, []).append(name)
    assert named["slider"] == [
        "Axis 1, 50.0 % of the variance, follows hue & <size>, score 0.75",
        "Axis 2, 25.0 % of the variance",
        "Axis 3, 5.0 % of the variance",
        "From start to end",
        "Circle of axes 3 and 1, follows hue, score 0.90",  # deeper in the tree
    ]
    assert "The decoded picture" in named["image"]
    assert "a & <b>" in named["heading"]
    assert "Start from image 3" in named["button"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone_in_light_and_dark(page, browser, scheme):
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        assert page.call("document.documentElement.scrollWidth") <= 390
        colours = page.call(
            "['color', 'backgroundColor'].map((key) => getComputedStyle(document.body)[key])"
        )
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    text, ground = (sum(map(int, colour[4:-1].split(","))) for colour in colours)
    assert (text < ground) == (scheme == "light")
    assert abs(text - ground) > 500


def test_controls_stay_in_sight_on_a_phone_on_its_side(page, browser):
    screen = {"width": 844, "height": 390, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        page.do("scrollTo(0, 300)")
        bottom = "document.getElementById('told').getBoundingClientRect().bottom"
        assert page.call(bottom) <= 390
    finally:
        page.do("scrollTo(0, 0)")
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "toy"
    export_toy_model(folder / "1")
    return folder


@pytest.mark.parametrize("enable_cors", [True, False])
def test_server_decodes_in_place_of_the_page_if_it_lets_it(
    browser, exported, tmp_path, enable_cors
):
    with Emulator([ModelConfig("toy", exported)], enable_cors=enable_cors) as emulator:
        url = f"http://127.0.0.1:{emulator.rest_port}/v1/models/toy:predict"
        axes = [Axis(stddev=1.0, share=0.3)] * LATENT_DIM
        path = tmp_path / "explorer.html"
        path.write_text(
            explorer_page(Server(predict_url=url), axes, title="toy", image_shape=IMAGE_SHAPE),
            encoding="utf-8",
        )
        page = Page(browser, path.as_uri())
        if not enable_cors:
            assert "does not let this page ask (CORS)" in page.text("status")
            assert "CORS" in browser.get_log("browser")[0]["message"]
            return
        toy = ToyModel(0.0)
        _assert_shows(page, toy.decode(np.zeros((1, 3)))[0])
        page.do(
            "const slider = document.querySelector('.axis input'); slider.value = 2; "
            "slider.dispatchEvent(new Event('input')); await new Promise((r) => setTimeout(r, 500))"
        )
        _assert_shows(page, toy.decode(np.array([[2.0, 0, 0]]))[0])
        assert page.call("document.getElementById('random').hidden")
        assert browser.get_log("browser") == []
