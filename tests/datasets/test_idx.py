"""The IDX reader against bytes written by hand and against the real files."""

import gzip
import struct

import numpy as np
import pytest

from keras_rkm.datasets.idx import load_idx_file, load_idx_folder, read_idx


def _idx(array: np.ndarray, code: int = 0x08) -> bytes:
    header = struct.pack(">BBBB", 0, 0, code, array.ndim)
    sizes = b"".join(struct.pack(">i", size) for size in array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


_IMAGES = np.arange(3 * 4 * 2, dtype=np.uint8).reshape(3, 4, 2)


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress])
def test_bytes_written_by_hand_are_read(tmp_path, compress):
    data = bytes.fromhex("00000803 00000002 00000001 00000003 0a0b0c 0d0e0f")
    path = tmp_path / "any-name"  # compression is told from the content
    path.write_bytes(compress(data))
    np.testing.assert_array_equal(read_idx(path), [[[10, 11, 12]], [[13, 14, 15]]])


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")]
)
def test_other_types_come_in_native_byte_order(tmp_path, code, dtype):
    array = np.array([[1, -2, 3]], dtype)
    (tmp_path / "x").write_bytes(_idx(array, code))
    received = read_idx(tmp_path / "x")
    assert received.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(received, array)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an IDX file.*an empty file"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file.*89 50 4e 47"),
        (b"\0\0\x07\x01", "not an IDX file.*00 00 07 01"),
        (_idx(_IMAGES)[:9], "ends inside its header.*Received: 5 bytes"),
        (_idx(_IMAGES)[:-1], r"shape=\(3, 4, 2\) needs 24 bytes. Received: 23 bytes"),
        (_idx(_IMAGES) + b"\0", "needs 24 bytes. Received: more"),
        (b"\0\0\x08\x02" + b"\xff" * 8, "claims to hold [0-9]+ bytes, and at most 12"),
        (gzip.compress(_idx(_IMAGES), mtime=0)[:-12], "damaged or cut short"),
        (gzip.compress(_idx(_IMAGES), mtime=0)[:-8] + b"12345678", "damaged or cut short"),
        (b"\x1f\x8b" + b"\0" * 30, "damaged or cut short"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, data, message):
    path = tmp_path / "broken"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        read_idx(path)
    assert str(path) in str(error.value)


@pytest.fixture
def folder(tmp_path):
    for prefix, number in (("train", 3), ("t10k", 2)):
        images = tmp_path / f"{prefix}-images-idx3-ubyte.gz"
        images.write_bytes(gzip.compress(_idx(_IMAGES[:number])))
        labels = np.arange(number, dtype=np.uint8) + number
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(_idx(labels))
    return tmp_path


def test_folder_has_two_splits(folder):
    train, test = (load_idx_folder(folder, split=split) for split in ("train", "test"))
    np.testing.assert_array_equal(train.images[..., 0], _IMAGES)
    np.testing.assert_array_equal(train.labels, [3, 4, 5])
    np.testing.assert_array_equal(test.labels, [2, 3])
    assert test.num_images == 2


def test_single_file_finds_its_labels(folder):
    np.testing.assert_array_equal(
        load_idx_file(folder / "t10k-images-idx3-ubyte.gz").labels, [2, 3]
    )
    (folder / "train-labels-idx1-ubyte").unlink()
    assert load_idx_file(folder / "train-images-idx3-ubyte.gz").labels is None


def test_folder_refuses_an_unknown_split_missing_images_and_odd_labels(folder):
    with pytest.raises(ValueError, match="split='validation'"):
        load_idx_folder(folder, split="validation")
    (folder / "train-labels-idx1-ubyte").write_bytes(_idx(np.arange(9, dtype=np.uint8)))
    with pytest.raises(ValueError, match=r"`labels`.*\(3,\).*shape=\(9,\)"):
        load_idx_folder(folder)
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(ValueError, match="no images of the split 'train'.*t10k-images"):
        load_idx_folder(folder)


def test_mnist_is_read_as_numpy_reads_it(shared_data):
    folder = shared_data / "mnist"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/mnist")
    dataset = load_idx_folder(folder, split="test")
    raw = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    expected = np.frombuffer(raw, np.uint8, offset=16).reshape(10_000, 28, 28, 1)
    np.testing.assert_array_equal(dataset.images, expected)
    # Published counts of the digits 0 to 9.
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(dataset.labels).tolist() == counts
