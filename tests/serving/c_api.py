"""A SavedModel run as TensorFlow Serving runs it: by the C++ loader and a Session, no Python.

    with Session("saved_models/first/serving/rkm/1") as session:
        images = session.run("generate", {"seed": [1, 2, 3]})["images"]

It needs the wheel of TensorFlow, but imports neither it nor keras_rkm.
"""

import ctypes
import os
import weakref
from collections.abc import Mapping, Sequence

import numpy as np

from . import c_library
from .c_library import StatusError, checked_status, library
from .signature_defs import SignatureDef, TensorInfo, read_signature_defs

_SERVE = "serve"


class Session:
    """A loaded SavedModel.

    Any number of threads may `run` at a time. What TensorFlow holds is freed by `close`, or with
    the object; runs under way go on to their end first.

    Args:
        export_dir: Str or path, the folder of `saved_model.pb`.
        tags: The tags of the graph. Defaults to `("serve",)`.
        intra_op_threads: Int, threads within an operation; 0, the default, leaves the choice to
            TensorFlow.
        inter_op_threads: Int, threads between operations; as above.

    Raises:
        StatusError: If the folder cannot be loaded, with the code and the message of TensorFlow.
    """

    def __init__(
        self,
        export_dir: str | os.PathLike,
        *,
        tags: Sequence[str] = (_SERVE,),
        intra_op_threads: int = 0,
        inter_op_threads: int = 0,
    ):
        config = _config(intra_op_threads, inter_op_threads)
        self._loaded = _Loaded(os.fspath(export_dir), tags, config)
        self._signatures = self._loaded.signatures

    @property
    def signatures(self) -> dict[str, SignatureDef]:
        """The signatures by name."""
        return dict(self._signatures)

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, object],
        *,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Calls a signature.

        Args:
            signature_name: Str.
            inputs: Arrays by name, of the very types of the signature, which TensorFlow checks;
                lists and numbers are converted. Strings are bytes in arrays of the type object.
            outputs: Names of the outputs to compute. Defaults to None, all of them.

        Returns:
            Arrays by name.

        Raises:
            StatusError: If there is no such signature, an input is missing or too much, or
                TensorFlow refuses to run.
        """
        loaded = self._loaded  # Holds it until this run is over, whatever `close` does.
        if loaded is None:
            raise StatusError("FAILED_PRECONDITION", "the session is closed")
        signature = self._signature(signature_name)
        _check_names(signature_name, inputs, signature.inputs)
        names = list(signature.outputs if outputs is None else outputs)
        arrays = [_to_array(inputs[name], info) for name, info in signature.inputs.items()]
        results = loaded.run(
            [info.tensor for info in signature.inputs.values()],
            arrays,
            [signature.outputs[name].tensor for name in names],
        )
        return dict(zip(names, results, strict=True))

    def close(self) -> None:
        """Lets go of the model; a second call does nothing."""
        self._loaded = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def _signature(self, name: str) -> SignatureDef:
        try:
            return self._signatures[name]
        except KeyError:
            raise StatusError(
                "NOT_FOUND",
                f"there is no signature {name!r}. Signatures: {sorted(self._signatures)}",
            ) from None


class _Loaded:
    """The session and its graph, deleted with the last reference to this object."""

    def __init__(self, export_dir: str, tags: Sequence[str], config: bytes):
        api = library()
        self._graph = api.TF_NewGraph()
        meta_graph = api.TF_NewBuffer()
        try:
            self._session = _load(export_dir, tags, config, self._graph, meta_graph)
            weakref.finalize(self, _delete, self._session, self._graph)
            contents = meta_graph.contents
            self.signatures = read_signature_defs(ctypes.string_at(contents.data, contents.length))
        finally:
            api.TF_DeleteBuffer(meta_graph)
        self._places = {
            info.tensor: self._place(info.tensor)
            for signature in self.signatures.values()
            for info in (*signature.inputs.values(), *signature.outputs.values())
            if info.tensor  # that of an initializer may have none
        }

    def run(
        self, feeds: Sequence[str], arrays: Sequence[np.ndarray], fetches: Sequence[str]
    ) -> list[np.ndarray]:
        """Runs the graph on `arrays`, given for the tensors `feeds`; returns those of `fetches`."""
        results = (ctypes.c_void_p * max(len(fetches), 1))()
        try:
            with c_library.new_tensors(arrays) as tensors:
                with checked_status() as status:
                    library().TF_SessionRun(
                        self._session,
                        None,
                        *(self._outputs(feeds), tensors, len(feeds)),
                        *(self._outputs(fetches), results, len(fetches)),
                        *(None, 0, None, status),
                    )
                # Before the inputs are gone: an output that is one of them shares its memory.
                return [c_library.to_numpy(tensor) for tensor in results[: len(fetches)]]
        finally:
            c_library.delete_tensors(results)

    def _outputs(self, tensors: Sequence[str]) -> ctypes.Array:
        places = [self._places[tensor] for tensor in tensors]
        return (c_library.Output * max(len(places), 1))(*places)

    def _place(self, tensor: str) -> c_library.Output:
        name, _, index = tensor.partition(":")
        operation = library().TF_GraphOperationByName(self._graph, name.encode())
        return c_library.Output(operation, int(index or 0))


def _load(
    export_dir: str, tags: Sequence[str], config: bytes, graph: int, meta_graph: object
) -> int:
    api = library()
    options = api.TF_NewSessionOptions()
    try:
        with checked_status() as status:
            api.TF_SetConfig(options, config, len(config), status)
        tag_array = (ctypes.c_char_p * len(tags))(*(tag.encode() for tag in tags))
        with checked_status() as status:
            return api.TF_LoadSessionFromSavedModel(
                *(options, None, export_dir.encode(), tag_array, len(tags)),
                *(graph, meta_graph, status),
            )
    except StatusError:
        api.TF_DeleteGraph(graph)
        raise
    finally:
        api.TF_DeleteSessionOptions(options)


def _delete(session: int, graph: int) -> None:
    api = library()
    with checked_status() as status:
        api.TF_CloseSession(session, status)
        api.TF_DeleteSession(session, status)
        api.TF_DeleteGraph(graph)


def _config(intra_op_threads: int, inter_op_threads: int) -> bytes:
    """A ConfigProto: fields 2 and 5 are numbers of threads below 128, so one byte each."""
    threads = {2: intra_op_threads, 5: inter_op_threads}
    return bytes(byte for number, value in threads.items() for byte in (number << 3, value))


def _to_array(value: object, info: TensorInfo) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    return np.asarray(value, c_library.NUMPY_TYPES.get(info.dtype, object))


def _check_names(signature_name: str, inputs: Mapping, expected: Mapping) -> None:
    if set(inputs) != set(expected):
        raise StatusError(
            "INVALID_ARGUMENT",
            f"the inputs of {signature_name!r} are {sorted(expected)}. Received: {sorted(inputs)}",
        )
