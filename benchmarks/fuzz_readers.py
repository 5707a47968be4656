"""Damaged and hostile files for every reader: documented errors, in bounded time and memory.

    python benchmarks/fuzz_readers.py [--inputs=10000 --readers=idx,npz --fuzz_seed=0]

Input number `i` of a reader is a function of (seed, reader, i): a valid file with one to four
mutations. Half of the packed ones are mutated inside, so that their checksums hold. The exit status
is 1 if a reader raised an error that its docstring does not promise or that does not name the file,
took longer than the limit, or ran out of memory.
"""

import contextlib
import gzip
import io
import json
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import _reporting
import numpy as np
from absl import app, flags
from absl.testing import flagsaver
from PIL import Image

_EXTREMES = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
_TOKENS = (
    *(b"NaN", b"-Infinity", b"1e999", b"null", b"[" * 3000, b'{"a":' * 3000, b"9" * 5000, b"("),
    *(b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\n", b"\r", b"--", b"=", b",", b"../", b"/etc/passwd"),
    *(b"--flagfile=/etc/passwd\n", b"--undefok=seed\n", b"PK\x03\x04", b"\x1f\x8b", b"\x93NUMPY"),
)
_HEADER_BYTES = 96
_MEMORY_BYTES = 2**30  # what a reader may take above the start


class Reader(NamedTuple):
    """One reader under test.

    Args:
        examples: Valid files.
        name: Where such a file lies, below a folder of its own.
        read: Takes that folder and the path of the file in it.
        errors: The documented exceptions.
        repack: Takes a generator, a valid file and a mutation; mutates it under its packing.
        folder: Bool, the error may name the folder in place of the file.
    """

    examples: tuple[bytes, ...]
    name: str
    read: Callable[[Path, Path], object]
    errors: tuple[type[Exception], ...]
    repack: Callable | None = None
    folder: bool = False


class Outcome(NamedTuple):
    """What a reader did with the inputs of one seed."""

    read: int
    refused: int
    failures: list[str]
    slowest: float
    digest: int


def mutate(generator: np.random.Generator, data: bytes) -> bytes:
    """`data` with one to four mutations."""
    for _ in range(generator.integers(1, 5)):
        data = _MUTATIONS[generator.integers(len(_MUTATIONS))](generator, data)
    return data


def _place(generator, data, end=None) -> int:
    return int(generator.integers(min(len(data), end or len(data)) + 1))


def _flip_bits(generator, data):
    result = bytearray(data)
    for _ in range(generator.integers(1, 9) if data else 0):
        result[generator.integers(len(result))] ^= 1 << generator.integers(8)
    return bytes(result)


def _truncate(generator, data):
    return data[: _place(generator, data)]


def _insert(generator, data):
    place = _place(generator, data)
    return data[:place] + generator.bytes(int(generator.integers(1, 65))) + data[place:]


def _insert_token(generator, data):
    place = _place(generator, data)
    return data[:place] + _TOKENS[generator.integers(len(_TOKENS))] + data[place:]


def _duplicate(generator, data):
    start, end = sorted((_place(generator, data), _place(generator, data)))
    place = _place(generator, data)
    return data[:place] + data[start : min(end, start + 4096)] + data[place:]


def _set_extreme(generator, data):
    """A field of 1, 2 or 4 bytes near either end, where headers and directories are."""
    code = ("B", ">H", "<H", ">I", "<I")[generator.integers(5)]
    size = struct.calcsize(code)
    extreme = _EXTREMES[generator.integers(len(_EXTREMES))] % 256**size
    place = _place(generator, data, _HEADER_BYTES)
    if generator.integers(2):
        place = max(len(data) - place, 0)
    return data[:place] + struct.pack(code, extreme) + data[place + size :]


def _set_number(generator, data):
    """A number of a text."""
    numbers = list(re.finditer(rb"\d+", data))
    if not numbers:
        return data
    number = numbers[generator.integers(len(numbers))]
    new = str(_EXTREMES[generator.integers(len(_EXTREMES))] * 10 ** int(generator.integers(12)))
    return data[: number.start()] + new.encode() + data[number.end() :]


def _keep_prefix(generator, data):
    place = _place(generator, data, _HEADER_BYTES)
    return data[:place] + generator.bytes(int(generator.integers(257)))


_MUTATIONS = (
    _flip_bits,
    _truncate,
    _insert,
    _insert_token,
    _duplicate,
    _set_extreme,
    _set_extreme,
    _set_number,
    _keep_prefix,
)


def _repack_gzip(generator, data, change):
    return gzip.compress(change(generator, gzip.decompress(data)), 1, mtime=0)


def _repack_zip(generator, data, change):
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
        names = old.namelist()
        chosen = names[generator.integers(len(names))]
        for name in names:
            content = old.read(name)
            new.writestr(name, change(generator, content) if name == chosen else content)
    return packed.getvalue()


def _repack_png(generator, data, change):
    """Mutates a PNG, then makes the checksums of its chunks fit again."""
    if not data.startswith(b"\x89PNG"):
        return change(generator, data)
    data, place = bytearray(change(generator, data)), 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(data)


def _idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def _npz(save=np.savez, **arrays) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def _picture(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file.getvalue()


def _pictures() -> tuple[bytes, ...]:
    generator = np.random.default_rng(0)
    grey = generator.integers(0, 256, (12, 10), np.uint8)
    colour = generator.integers(0, 256, (12, 10, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    return (
        *(_picture(grey, format=name) for name in ("PNG", "BMP", "GIF", "PPM")),
        _picture(grey.astype(np.uint16) * 257, format="PNG"),
        _picture(colour, format="PNG", compress_level=0),
        _picture(colour, format="JPEG", exif=exif),
        _picture(colour, format="WEBP", lossless=True),
        _picture(colour, format="TIFF", compression="tiff_lzw"),
        _picture(colour, format="TIFF"),
    )


def make_readers() -> dict[str, Reader]:
    """The readers by name."""
    from apps import errors, flag_files, run_folder, train_flags
    from keras_rkm import datasets, export

    images = np.arange(40, dtype=np.uint8).reshape(5, 4, 2)
    classes = np.stack([np.arange(5) % 2, np.arange(5)], axis=1)
    archives = (
        _npz(images=images, labels=np.arange(5)),
        _npz(np.savez_compressed, imgs=images, latents_classes=classes),
        _npz(
            images=images / 255,
            latents_values=classes.astype(float),
            latents_names=np.array(["a", "b"]),
            latents_sizes=np.array([2, 5]),
        ),
    )
    manifest = {"created": "2026-01-01", "versions": {"keras": "3.15"}, "latent_mean": [0.5, -1e-3]}
    # SHA-256 of nothing: the folder holds an empty file of that name.
    manifest["sha256"] = {
        "saved_model.pb": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
    flag_lines = "--dataset=a.npz\n--seed=3\n--learning_rate=0.001\n--nodownload\n--epochs=2\n"

    def read_manifest(folder, path):
        (folder / "saved_model.pb").touch()
        export.verify_export(folder)

    def read_flagfile(folder, path):
        flag_files.read_flags(run_folder.RunFolder(folder))
        with flagsaver.flagsaver():
            flags.FLAGS.output_dir = "run"  # it is required, and not in the file
            flag_files.adopt_flags(run_folder.RunFolder(folder), train_flags.RUN_FLAGS)

    def load(folder, path):
        datasets.load(path)

    bare, packed = _idx(images), gzip.compress(_idx(images), mtime=0)
    floats = b"\0\0\x0d\x03" + _idx(images)[4:16] + (images / 255).astype(">f4").tobytes()
    return {
        "idx": Reader((bare, floats), "a-idx", load, (ValueError,)),
        "idx.gz": Reader((packed,), "a-idx.gz", load, (ValueError,), _repack_gzip),
        "npz": Reader(archives, "a.npz", load, (ValueError,), _repack_zip),
        "manifest": Reader(
            (json.dumps(manifest).encode(),),
            "assets.extra/manifest.json",
            read_manifest,
            (ValueError,),
            folder=True,
        ),
        "flagfile": Reader(
            (flag_lines.encode(),), "flags.txt", read_flagfile, (errors.CommandError,), folder=True
        ),
        "image folder": Reader(
            _pictures(),
            "images/a.png",
            lambda folder, path: datasets.load(path.parent),
            (ValueError,),
            _repack_png,
            folder=True,
        ),
    }


class _OutOfTimeError(BaseException):
    """Of no kind that a reader could take for one of its own."""


@contextlib.contextmanager
def _limited_time(seconds: float) -> Iterator[None]:
    def stop(*_):
        raise _OutOfTimeError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(
    name: str, reader: Reader, num_inputs: int, folder: Path, *, seed: int, seconds: float = 10.0
) -> Outcome:
    """Feeds `num_inputs` mutated files to a reader.

    Args:
        name: Str, selects the inputs together with `seed`.
        reader: `Reader`.
        num_inputs: Int.
        folder: Empty folder to write them to, one after the other.
        seed: Int.
        seconds: Float, time for one of them.

    Returns:
        `Outcome`; `digest` tells whether two runs had the same inputs.
    """
    path = folder / reader.name
    path.parent.mkdir(parents=True, exist_ok=True)
    counts, failures, slowest, digest = Counter(), [], 0.0, 0
    for number in range(num_inputs):
        generator = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
        data = reader.examples[number % len(reader.examples)]
        if reader.repack and generator.integers(2):
            data = reader.repack(generator, data, mutate)
        else:
            data = mutate(generator, data)
        digest = zlib.crc32(data, digest)
        path.write_bytes(data)
        start = time.perf_counter()
        failure = None
        try:
            with warnings.catch_warnings(), _limited_time(seconds):
                warnings.simplefilter("ignore")
                reader.read(folder, path)
            counts["read"] += 1
        except reader.errors as error:
            counts["refused"] += 1
            named = str(path.parent if reader.folder else path)
            if named not in str(error) and str(folder) not in str(error):
                failure = f"does not name the file: {error}"
        except _OutOfTimeError:
            failure = f"took more than {seconds} s"
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
        slowest = max(slowest, time.perf_counter() - start)
        if failure:
            failures.append(f"{name} {number}: {failure[:300]}")
    return Outcome(counts["read"], counts["refused"], failures, slowest, digest)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _limit_memory() -> None:
    """Lets this process map `_MEMORY_BYTES` more than it does; Linux tells how much that is."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _define_flags():
    return (
        flags.DEFINE_integer("inputs", 10_000, "Inputs for each reader.", lower_bound=1),
        flags.DEFINE_list("readers", [], "Readers to test; empty: all."),
        flags.DEFINE_integer("fuzz_seed", 0, "Of the inputs.", lower_bound=0),
    )


def main(argv):
    inputs, chosen, seed = (holder.value for holder in _FLAGS)
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    readers = make_readers()
    if unknown := set(chosen) - set(readers):
        raise app.UsageError(f"--readers knows {', '.join(readers)}, not {', '.join(unknown)}")
    _reporting.print_setting(
        "Mutated files", threads=0, seeds=seed, memory=f"{_MEMORY_BYTES // 2**20} MiB more at most"
    )
    flags.FLAGS.mark_as_parsed()
    rows, failures = [], []
    for name in chosen or readers:
        with tempfile.TemporaryDirectory() as folder:
            # The first inputs import what is needed; they do not count as growth.
            fuzz(name, readers[name], 20, Path(folder, "first"), seed=seed + 1)
            if sys.platform == "linux" and not rows:
                _limit_memory()
            before = _peak_mib()
            outcome = fuzz(name, readers[name], inputs, Path(folder, "main"), seed=seed)
        failures += outcome.failures
        rows.append(
            [
                name,
                inputs,
                outcome.read,
                outcome.refused,
                len(outcome.failures),
                1000 * outcome.slowest,
                _peak_mib() - before,
            ]
        )
    header = ("reader", "inputs", "read", "refused", "failures", "slowest ms", "MiB above before")
    _reporting.print_table(header, rows)
    for failure in failures[:20]:
        print(failure, file=sys.stderr)
    if failures:
        sys.exit(1)


if __name__ == "__main__":
    _FLAGS = _define_flags()
    app.run(main)
