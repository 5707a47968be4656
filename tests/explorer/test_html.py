"""The page is one file, and nothing that goes into it breaks out of its place."""

import html.parser
import json
import re

import numpy as np
import pytest

from keras_rkm import networks, samplers
from keras_rkm.explorer import (
    Axis,
    Server,
    embed_decoder,
    explorer_page,
    mixture_parameters,
)

WICKED = "</script><script>alert('&lt;{{data}}')</script>"


class _Parser(html.parser.HTMLParser):
    """Collects the scripts, the text of the heading and the attributes that lead elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.scripts, self.heading, self.links = [], [], "", []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        attributes = dict(attrs)
        self.links += [attributes[name] for name in ("src", "href") if name in attributes]
        if tag == "script":
            self.scripts.append([attributes.get("id"), ""])

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1][1] += data
        if self.open and self.open[-1] == "h1":
            self.heading += data


def _parsed(page):
    parser = _Parser()
    parser.feed(page)
    return parser


@pytest.fixture(scope="module")
def embedded():
    decoder = networks.dense_decoder(4, (4, 4, 1), hidden_dims=(4,))
    latents = np.zeros((1, 2), "float32")
    return embed_decoder(
        decoder,
        basis=np.eye(4, 2),
        offset=np.zeros(2),
        latents=latents,
        probes=latents,
        expected=np.asarray(decoder(latents @ np.eye(2, 4))),
    )


def _page(decoder, **arguments):
    axes = [Axis(stddev=2.0, share=0.6, factor=WICKED, score=0.5), Axis(stddev=0.0, share=0.0)]
    images = np.zeros((1, 4, 4, 1), "uint8")
    told = {"images": images, "codes": np.array([[3.0, 0.0]]), "image_names": [WICKED]}
    told |= {"title": WICKED, "image_shape": (4, 4, 1), **arguments}
    return explorer_page(decoder, axes, **told)


def test_names_cannot_break_out_of_their_place(embedded):
    parser = _parsed(_page(embedded))
    assert parser.heading == WICKED
    assert [name for name, _ in parser.scripts] == ["data", "weights", "wasm", None, None]
    data = json.loads(parser.scripts[0][1])
    assert data["axes"][0]["factor"] == data["pictures"][0]["name"] == WICKED
    # In deviations; a latent that does not vary has none.
    assert data["pictures"][0]["values"] == [1.5, 0.0]


@pytest.mark.parametrize("with_server", [False, True])
def test_page_needs_no_other_file(embedded, with_server):
    server = Server(predict_url="http://localhost:8501/v1/models/st_rkm:predict")
    page = _page(server if with_server else embedded)
    assert all(link.startswith("data:") for link in _parsed(page).links)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    allowed = "http://localhost:8501" if with_server else "&#x27;none&#x27;"
    assert f"connect-src {allowed};" in policy
    assert "{{" not in page.replace(WICKED, "").replace("{{data}}", "")
    assert (len(page) < 100_000) == with_server


def test_page_of_the_default_networks_at_64x64_has_less_than_three_megabytes():
    shape, dim, generator = (64, 64, 3), 10, np.random.default_rng(0)
    decoder = networks.convolutional_decoder(128, shape, capacity=32, seed=0)
    basis = np.linalg.qr(generator.normal(size=(128, dim)))[0].astype("float32")
    latents = (3 * generator.normal(size=(2_000, dim))).astype("float32")
    embedded = embed_decoder(
        decoder,
        basis=basis,
        offset=np.zeros(dim),
        latents=latents,
        probes=latents[:100],
        expected=np.asarray(decoder(latents[:100] @ basis.T)),
    )
    axes = [Axis(stddev=1.0, share=0.1)] * dim
    images = np.repeat(np.arange(64, dtype="uint8")[:, np.newaxis], 64, axis=1)
    images = np.broadcast_to(images[np.newaxis, :, :, np.newaxis], (32, *shape))
    page = explorer_page(
        embedded,
        axes,
        title="rooms",
        image_shape=shape,
        images=images,
        codes=latents[:32],
        image_names=[str(number) for number in range(32)],
    )
    assert 0.5e6 < len(page.encode()) < 3e6


def test_images_of_other_channels_are_refused(embedded):
    with pytest.raises(ValueError, match=r"image_shape=\(4, 4, 2\)"):
        _page(embedded, image_shape=(4, 4, 2))


def test_samplers_are_mixtures_of_normal_distributions():
    latents = np.random.default_rng(0).normal(size=(200, 2)) * [1, 3] + [5, 0]
    gaussian = samplers.GaussianSampler().adapt(latents)
    parameters = mixture_parameters(gaussian)
    assert parameters["weights"] == [1.0]
    np.testing.assert_allclose(parameters["means"][0], latents.mean(axis=0), rtol=1e-5)
    factor = np.array(parameters["scale_trils"][0])
    np.testing.assert_allclose(factor @ factor.T, np.cov(latents.T, bias=True), rtol=1e-4)
    mixture = samplers.GaussianMixtureSampler(num_components=3).adapt(latents)
    shapes = {name: np.shape(value) for name, value in mixture_parameters(mixture).items()}
    assert shapes == {"weights": (3,), "means": (3, 2), "scale_trils": (3, 2, 2)}


def test_sampler_of_another_kind_is_refused():
    class Own(samplers.Sampler):
        pass

    with pytest.raises(ValueError, match="Received: a Own"):
        mixture_parameters(Own())
