"""Training on several devices: which combinations work, and how batches are split.

docs/scaling.md says why the others do not.
"""

import contextlib
import inspect

import keras
import numpy as np
import tensorflow as tf

from keras_rkm.models.image_checks import images_of

_DEFAULT_BATCH_SIZE = 32  # that of Keras
_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
_IN_A_BRANCH = ("gradient_accumulation_steps", "ema_overwrite_frequency")


def is_distributed(model) -> bool:
    """Whether a model was made in the scope of a strategy of more than one replica."""
    return model.distribute_strategy.num_replicas_in_sync > 1


def scope(model):
    """The scope of the strategy of a model, for what is made for it."""
    if model._distribute_strategy is None:
        return contextlib.nullcontext()
    return model.distribute_strategy.scope()


def check_model(model):
    """Raises a ValueError unless all of a model was made in one scope."""
    here = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
    strategy = model._distribute_strategy
    if here is not None and here is not strategy:
        raise ValueError(
            "A model must be made in the scope of the strategy that it is compiled in. Received: "
            f"a {type(model).__name__} made outside of that of the {type(here).__name__}. Make it, "
            "and its networks, inside `with strategy.scope():`."
        )
    if strategy is None:
        return
    for variable in model.variables:
        if not strategy.extended.variable_created_in_scope(variable.value):
            raise ValueError(
                "All weights of a model must be made in the scope of its strategy. Received: "
                f"{variable.path}, made outside of that of the {type(strategy).__name__}. Make the "
                "networks inside `with strategy.scope():` too."
            )


def check_compiled(model):
    """Raises a ValueError if several replicas would not do what one device does."""
    if not is_distributed(model):
        return
    found = _unusable(model)
    if found:
        what, why, way_out = found
        raise ValueError(
            f"{what} cannot be used on {model.distribute_strategy.num_replicas_in_sync} replicas: "
            f"{why}. {way_out}."
        )


def _unusable(model):
    """What of a compiled model cannot be used, why, and the way out; None if all can."""
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        return (
            "The LossScaleOptimizer of mixed_float16",
            "Keras looks for overflow in the gradient of one replica only",
            "Use mixed_bfloat16 or float32",
        )
    if model.steps_per_execution > 1:
        return (
            f"`steps_per_execution={model.steps_per_execution}`",
            "the loop of Keras loses the logs of replicas",
            "Leave it out",
        )
    if model.jit_compile:
        return (
            "`jit_compile=True`",
            "XLA compiles for one device what has weights on several",
            "Leave it out",
        )
    dtypes = {variable.dtype for variable in model.trainable_variables}
    if len(dtypes) > 1:
        return (
            f"Weights of {' and '.join(sorted(dtypes))}",
            "Keras sums gradients of one dtype only",
            "Make the networks under one dtype policy; mixed precision is one",
        )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized:
            return (
                f"The BatchNormalization layer '{layer.name}'",
                "its moments are those of the images of one replica, which may have none",
                "Make it with `synchronized=True`",
            )
    for optimizer in [model.optimizer, *getattr(model.optimizer, "optimizers", [])]:
        if optimizer._distribution_strategy is not model.distribute_strategy:
            return (
                f"The optimizer '{optimizer.name}'",
                "it was made outside of the scope of the strategy",
                "Make it inside `with strategy.scope():`",
            )
        for name in (*_CLIPPING, *_IN_A_BRANCH):
            if getattr(optimizer, name, None) is not None:
                return (
                    f"`{name}={getattr(optimizer, name)}`",
                    "Keras would clip what each replica adds to the gradient, not the gradient"
                    if name in _CLIPPING
                    else "Keras would have the replicas meet in a branch, where they cannot",
                    "Leave it out",
                )
    return None


def fit_arguments(model, *args, **kwargs):
    """The arguments of `keras.Model.fit`, by name, with the data split over the replicas."""
    arguments = _by_name(keras.Model.fit, args, kwargs)
    if arguments.pop("validation_split", None):
        raise ValueError(
            "`validation_split` cannot be used on several replicas. Pass `validation_data`."
        )
    batch_size = arguments.pop("batch_size", None) or _DEFAULT_BATCH_SIZE
    shuffle = arguments.pop("shuffle", True)
    arguments.pop("y", None)
    _split(model, arguments, "x", "steps_per_epoch", batch_size, shuffle)
    validation_batch_size = arguments.pop("validation_batch_size", None) or batch_size
    if arguments.get("validation_data") is not None:
        arguments["validation_data"] = images_of(arguments["validation_data"])
        _split(model, arguments, "validation_data", "validation_steps", validation_batch_size)
    return {**arguments, "shuffle": False}


def evaluate_arguments(model, *args, **kwargs):
    """The arguments of `keras.Model.evaluate`, by name, with the data split over the replicas."""
    arguments = _by_name(keras.Model.evaluate, args, kwargs)
    arguments.pop("y", None)
    batch_size = arguments.pop("batch_size", None) or _DEFAULT_BATCH_SIZE
    _split(model, arguments, "x", "steps", batch_size)
    return arguments


def _by_name(method, args, kwargs):
    bound = inspect.signature(method).bind(None, *args, **kwargs).arguments
    bound.pop("self")
    return {**bound, **bound.pop("kwargs", {})}


def _split(model, arguments, name, steps, batch_size, shuffle=False):
    """Replaces the data in `arguments` by those split; says how many steps there are, if known."""
    data = arguments[name]
    if isinstance(data, tf.distribute.DistributedDataset):
        return
    data = as_batches(data, batch_size, model.seed if shuffle else None)
    num_batches = int(data.cardinality())
    if num_batches > 0 and not arguments.get(steps):
        # Of data without an end the replicas need not ask each other whether all have images.
        data, arguments[steps] = data.repeat(), num_batches
    arguments[name] = split(model.distribute_strategy, data)


def as_batches(data, batch_size, seed=None):
    """A dataset of batches of what may be an array, in a new order in each pass if `seed` is given.

    Raises:
        ValueError: If the data are neither.
    """
    if isinstance(data, tf.data.Dataset):
        return data
    if not isinstance(data, np.ndarray | tf.Tensor):
        raise ValueError(
            "On several replicas images must come as an array or a `tf.data.Dataset`. "
            f"Received: {type(data).__name__}."
        )
    with tf.device("CPU:0"):
        images = tf.convert_to_tensor(data)
    indices = tf.data.Dataset.range(len(images))
    if seed is not None:
        indices = indices.shuffle(len(images), seed=seed)
    return indices.batch(batch_size).map(lambda batch: tf.gather(images, batch))


def split(strategy, batches):
    """Splits each batch over the replicas by position, so that all steps are those of one device.

    Keras would have `tf.distribute` do it, which for a batch that cannot be divided evenly gives
    some images to two workers and others to none, if the data are not files.

    Args:
        strategy: A `tf.distribute.Strategy`.
        batches: `tf.data.Dataset` of batches `images` or `(images, ...)`, the same on all workers.

    Returns:
        A `tf.distribute.DistributedDataset` of images; a replica may have none in a step.
    """
    num_replicas = strategy.num_replicas_in_sync

    def of_worker(context):
        num_own = num_replicas // context.num_input_pipelines
        first = context.input_pipeline_id * num_own

        def pieces(*element):
            images = images_of(element)
            size = tf.shape(images, tf.int64)[0]

            def piece(replica):
                return images[_rows_of(replica, num_replicas, size)]

            return tf.data.Dataset.range(first, first + num_own).map(piece)

        own = batches.flat_map(pieces)
        if batches.cardinality() == tf.data.INFINITE_CARDINALITY:
            own = own.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return own.prefetch(tf.data.AUTOTUNE)

    return strategy.distribute_datasets_from_function(of_worker)


def split_batch(strategy, images):
    """Splits a batch over the replicas as `split` does; of several workers all are given all of it.

    Args:
        strategy: A `tf.distribute.Strategy`.
        images: Array or tensor `(batch, ...)`.

    Returns:
        A value for each replica, for `strategy.run`; a replica may have no rows.
    """
    images = tf.convert_to_tensor(images)

    def own(context):
        replica, count = context.replica_id_in_sync_group, context.num_replicas_in_sync
        return images[_rows_of(replica, count, len(images))]

    return strategy.experimental_distribute_values_from_function(own)


def _rows_of(replica, num_replicas, size):
    return slice(size * replica // num_replicas, size * (replica + 1) // num_replicas)
