"""Whether TensorFlow Serving can load a SavedModel and answer requests for it.

`tf.saved_model.load` is no proof: it revives Python objects. The server imports the graph into a
session and restores the variables by name, and knows neither this package nor Python.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

_INIT = "__saved_model_init_op"
_RESERVED = (_INIT, "__saved_model_train_op")
_PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
_XLA_MARK = "_XlaMustCompile"
_JSON_TYPES = {"bool", "float32", "float64", "string"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def check_servable(path: str | os.PathLike) -> None:
    """Raises an error if a SavedModel would fail in TensorFlow Serving.

    It looks for inputs and outputs without a free first dimension, signatures without an input,
    types that JSON cannot carry, outputs of strings whose name does not end in `_bytes`, calls of
    Python or of XLA's compiler, and variables that are stored twice or for nothing. Then it
    restores the variables in a session, as the server does, and runs every signature on one row
    and on two.

    Args:
        path: The folder of a SavedModel.

    Raises:
        ValueError: If something was found; lists all of it.
        OSError: If there is no SavedModel.
    """
    path = Path(path)
    try:
        saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    except DecodeError as error:
        _refuse(path, [f"saved_model.pb is damaged: {_brief(error)}"])
    graphs = [graph for graph in saved.meta_graphs if "serve" in graph.meta_info_def.tags]
    if not graphs:
        _refuse(path, ["no graph has the tag 'serve'"])
    graph = graphs[0]
    signatures = {
        name: signature for name, signature in graph.signature_def.items() if name not in _RESERVED
    }
    variables = path / "variables" / "variables"
    problems = [
        *_signature_problems(signatures),
        *_op_problems(graph),
        *_variable_problems(graph, signatures, variables),
    ]
    if problems := problems or [*_run_problems(graph, signatures, variables)]:
        _refuse(path, problems)


def _refuse(path: Path, problems: list[str]) -> None:
    raise ValueError(
        f"`path` holds a SavedModel that would fail in TensorFlow Serving. Received: path='{path}' "
        f"with these problems: {'; '.join(problems)}."
    )


def _signature_problems(signatures) -> Iterator[str]:
    if not signatures:
        yield "there is no signature"
    for name, signature in signatures.items():
        if not signature.inputs:
            yield f"'{name}' has no input, by which requests could be batched"
        for kind in ("input", "output"):
            for key, tensor in getattr(signature, f"{kind}s").items():
                for problem in _tensor_problems(key, tensor, kind):
                    yield f"the {kind} '{key}' of '{name}' {problem}"


def _tensor_problems(key, tensor, kind) -> Iterator[str]:
    shape, dtype = tensor.tensor_shape, tf.dtypes.as_dtype(tensor.dtype).name
    if shape.unknown_rank or not shape.dim or shape.dim[0].size != -1:
        yield f"has no free first dimension: its shape is {tf.TensorShape(shape)}"
    if dtype not in _JSON_TYPES:
        yield f"is of type {dtype}, which JSON cannot carry"
    if dtype == "string" and kind == "output" and not key.endswith("_bytes"):
        yield "holds strings, whose name has to end in '_bytes' for JSON"


def _op_problems(graph) -> list[str]:
    functions = graph.graph_def.library.function
    nodes = [*graph.graph_def.node, *(node for f in functions for node in f.node_def)]
    problems = [f"an op of type {node.op} calls Python" for node in nodes if node.op in _PYTHON_OPS]
    if any(map(_calls_xla, (*nodes, *functions))):
        problems.append("a function calls XLA's compiler, as with jit_compile=True")
    return sorted(set(problems))


def _calls_xla(node_or_function) -> bool:
    # Reading a mark that is not there by `[]` would set it, and spoil the graph.
    attributes = node_or_function.attr
    is_marked = _XLA_MARK in attributes and attributes[_XLA_MARK].b
    return is_marked or getattr(node_or_function, "op", "").startswith("Xla")


def _variable_problems(graph, signatures, variables: Path) -> Iterator[str]:
    if not variables.with_suffix(".index").exists():
        return  # a model of constants
    nodes = {node.name: node for node in graph.graph_def.node}
    handles = [name for name, node in nodes.items() if node.op == "VarHandleOp"]
    shared = [nodes[name].attr["shared_name"].s.decode() for name in handles]
    if repeated := {name for name in shared if shared.count(name) > 1}:
        yield f"two variables are restored under the one name {', '.join(sorted(repeated))}"
    used = _inputs_of(nodes, signatures) & set(handles)
    try:
        names = [name for name, _ in tf.train.list_variables(str(variables))]
    except (tf.errors.OpError, IndexError) as error:
        yield f"the list of its variables is damaged: {_brief(error)}"
        return
    stored = [name for name in names if name.endswith("VARIABLE_VALUE")]
    if len(stored) > len(used):
        yield (
            f"{len(stored)} variables are stored but {len(used)} are used, so that some are there "
            "twice or for nothing, as after `ExportArchive.track`"
        )


def _inputs_of(nodes, signatures) -> set[str]:
    """The names of all nodes that the outputs of the signatures are computed from."""
    found = set()
    pending = [
        tensor.name for signature in signatures.values() for tensor in signature.outputs.values()
    ]
    while pending:
        name = pending.pop().lstrip("^").split(":")[0]
        if name not in found:
            found.add(name)
            # One that is not there is told when the graph is run.
            pending.extend(nodes[name].input if name in nodes else ())
    return found


def _run_problems(graph, signatures, variables: Path) -> Iterator[str]:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        try:
            tf.graph_util.import_graph_def(graph.graph_def, name="")
            _restore(session, graph, variables)
        except (ValueError, tf.errors.OpError) as error:
            yield f"it cannot be loaded: {_brief(error)}"
            return
        for name, signature in signatures.items():
            for num_rows in (1, 2):
                try:
                    wrong = _rows_problem(session, signature, num_rows)
                except (ValueError, tf.errors.OpError) as error:
                    wrong = _brief(error)
                if wrong:
                    yield f"'{name}' fails on {num_rows} rows of zeros: {wrong}"
                    break


def _restore(session, graph, variables: Path) -> None:
    saver = graph.saver_def
    if saver.restore_op_name:
        session.run(saver.restore_op_name, {saver.filename_tensor_name: str(variables)})
    if _INIT in graph.signature_def:
        for tensor in graph.signature_def[_INIT].outputs.values():
            session.run(tensor.name.split(":")[0])


def _rows_problem(session, signature, num_rows: int) -> str | None:
    feeds = {tensor.name: _zeros(tensor, num_rows) for tensor in signature.inputs.values()}
    fetches = {key: tensor.name for key, tensor in signature.outputs.items()}
    for key, value in session.run(fetches, feeds).items():
        if len(value) != num_rows:
            return f"the output '{key}' has {len(value)} rows"
    return None


def _zeros(tensor, num_rows: int) -> np.ndarray:
    shape = [num_rows, *(max(dim.size, 1) for dim in tensor.tensor_shape.dim[1:])]
    dtype = tf.dtypes.as_dtype(tensor.dtype)
    return np.full(shape, b"" if dtype == tf.string else 0, dtype.as_numpy_dtype)


def _brief(error) -> str:
    message = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return message.splitlines()[0]
