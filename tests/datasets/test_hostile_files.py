"""Files that claim more than they hold, or lead elsewhere: refused before memory is taken."""

import gzip
import io
import os
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_rkm import datasets

_LIMIT = 2**25  # 32 MiB, far less than what the files here claim


@pytest.fixture(autouse=True)
def _little_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < _LIMIT


def _refused(path, message, named=None):
    with pytest.raises(ValueError, match=message) as error:
        datasets.load(path)
    assert str(named or path) in str(error.value)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("shape", [(10**9, 28, 28), (2**32 - 1,) * 3, (2**20, 2**13)])
def test_idx_header_that_claims_more_than_the_file_has(tmp_path, shape, compress):
    path = tmp_path / "a-idx"
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    path.write_bytes(compress(header + bytes(100)))
    _refused(path, "claims to hold")


def test_gzip_bomb_behind_a_small_idx_header(tmp_path):
    path = tmp_path / "a-idx.gz"
    header = bytes([0, 0, 8, 3]) + np.array((2, 4, 4), ">u4").tobytes()
    with gzip.open(path, "wb") as file:
        file.write(header)
        for _ in range(64):
            file.write(bytes(2**20))
    _refused(path, "needs 32 bytes. Received: more")


def test_idx_in_gzip_takes_no_more_than_it_unfolds_to(tmp_path):
    path = tmp_path / "a-idx.gz"
    noise = np.random.default_rng(0).bytes(2**20)
    header = bytes([0, 0, 8, 3]) + np.array((2**10, 2**10, 2**8), ">u4").tobytes()
    path.write_bytes(gzip.compress(header + noise))  # 1 MiB that could be 256 MiB
    _refused(path, "Received: 1048576 bytes")


def _npy(shape, data=b"", descr="|u1"):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + data


@pytest.mark.parametrize(
    "member, message",
    [
        (_npy((10**12, 64, 64)), "claims .* bytes for shape"),
        (_npy((2, 4, 4), bytes(31)), "claims 32 bytes .* and has 31"),
        (_npy((2, 4, 4), bytes(33)), "claims 32 bytes .* and has 33"),
        (_npy((-2, 4, -4), bytes(32)), "claims shape"),
        (_npy((1,), bytes(8), "<U100000000"), "claims 400000000 bytes"),
        (_npy("(" * 2000), "no .npy header"),
        (_npy((2,), bytes(16), "|O"), "objects, which only pickle"),
    ],
)
def test_npy_header_that_does_not_fit_its_member(tmp_path, member, message):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", member)
    _refused(path, message)


def test_zip_bombs(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", _npy((2, 4, 4), bytes(32)))
    data = bytearray(path.read_bytes())
    # The directory says 4 GB, of 100 bytes.
    place = data.rindex(b"PK\1\2") + 24
    data[place : place + 4] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(data)
    _refused(path, "images.npy' claims to hold 4294967294 bytes")
    # Members that are not read are not unfolded, and none is written anywhere.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("../images.npy", "w") as member:
            for _ in range(64):
                member.write(bytes(2**20))
        archive.writestr("imgs.npy", _npy((2, 4, 4, 1), bytes(32)))
    assert datasets.load(path).num_images == 2
    assert os.listdir(tmp_path) == ["a.npz"] and not (tmp_path.parent / "images.npy").exists()


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"images": np.uint8(3)}, "must have the shape"),
        ({"latents_values": np.array([["a"], ["b"]])}, "must be numbers"),
        ({"latents_classes": np.array([[0], [2**62]])}, "integers up to"),
        ({"latents_classes": np.array([[0.5], [1]])}, "integers up to"),
        ({"latents_sizes": np.array([[2]]), "latents_classes": np.array([[0], [1]])}, "a vector"),
        ({"latents_names": np.array("ab"), "latents_classes": np.array([[0], [1]])}, "a vector"),
    ],
)
def test_arrays_that_are_no_factors(tmp_path, arrays, message):
    path = tmp_path / "a.npz"
    np.savez(path, **{"images": np.zeros((2, 8, 8), np.uint8), **arrays})
    _refused(path, message)


def _png(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    )


@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (2**26 + 1, 1)])
def test_image_bomb(tmp_path, size):
    (tmp_path / "a.png").write_bytes(_png(*size))
    _refused(tmp_path, "a.png' is too large", named=tmp_path / "a.png")


def test_postscript_named_png_is_not_handed_to_another_program(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("it was run"))
    _refused(tmp_path, "damaged or not an image", named=tmp_path / "a.png")


def test_more_images_than_memory_holds_are_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_rkm.datasets.image_folder.MAX_BYTES", 100)
    for name in "ab":
        Image.new("L", (8, 8)).save(tmp_path / f"{name}.png")
    _refused(tmp_path, "need 128 bytes.*`stream`")


def test_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    _refused(tmp_path / "pipe", "no pipe")


def test_damaged_labels_name_their_file(tmp_path):
    images = bytes([0, 0, 8, 3]) + np.array((2, 4, 4), ">u4").tobytes() + bytes(32)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(io.BytesIO(images).read(9))
    _refused(tmp_path, "ends inside its header", named=tmp_path / "train-labels-idx1-ubyte")
