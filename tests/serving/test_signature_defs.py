"""The reader of signatures, against the classes that protobuf generates."""

import pytest

from .signature_defs import read_signature_defs


@pytest.fixture
def meta_graph(exported):
    from tensorflow.core.protobuf import saved_model_pb2

    data = (exported / "1" / "saved_model.pb").read_bytes()
    return saved_model_pb2.SavedModel.FromString(data).meta_graphs[0]


def _dims(message):
    return None if message.unknown_rank else tuple(dim.size for dim in message.dim)


def test_reads_what_protobuf_reads(meta_graph):
    signatures = read_signature_defs(meta_graph.SerializeToString())
    assert set(signatures) == set(meta_graph.signature_def) >= {"generate", "serving_default"}
    for name, expected in meta_graph.signature_def.items():
        signature = signatures[name]
        assert signature.method_name == expected.method_name
        for infos, messages in (
            (signature.inputs, expected.inputs),
            (signature.outputs, expected.outputs),
        ):
            assert {key: (info.tensor, info.dtype, info.shape) for key, info in infos.items()} == {
                key: (info.name, info.dtype, _dims(info.tensor_shape))
                for key, info in messages.items()
            }


def test_reads_free_sizes_and_unknown_ranks(meta_graph):
    inputs = meta_graph.signature_def["encode"].inputs
    inputs["any"].tensor_shape.unknown_rank = True
    inputs["scalar"].dtype = 3
    inputs["large"].tensor_shape.dim.add(size=2**40)
    read = read_signature_defs(meta_graph.SerializeToString())["encode"].inputs
    assert read["images"].shape == (-1, 8, 8, 1)
    assert read["any"].shape is None
    assert (read["scalar"].shape, read["scalar"].dtype) == ((), 3)
    assert read["large"].shape == (2**40,)


def test_refuses_what_is_cut_off(meta_graph):
    data = meta_graph.SerializeToString()
    with pytest.raises(ValueError, match="ends within"):
        read_signature_defs(data[:-1])
    with pytest.raises(ValueError, match="ends within a number"):
        read_signature_defs(b"\xff")
    with pytest.raises(ValueError, match="a field of type 3"):
        read_signature_defs(b"\x0b")


def test_no_signatures_are_an_empty_dict():
    assert read_signature_defs(b"") == {}
