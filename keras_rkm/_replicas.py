"""What the replicas of a `tf.distribute` strategy tell each other; on one device, nothing at all.

A batch is split by the position of its rows: replica 0 has the first ones. Each replica computes
its share of a mean, `sum over its rows / rows of the batch`, and the gradient of its share; that of
the loss is their sum, which the optimizers of Keras take. A replica without rows has a share of 0.

Values that every replica needs as a whole, such as the mean of the features, are summed by an
all-reduce, through which gradients flow: its derivative is an all-reduce of the derivatives.
"""

import dataclasses
import functools

import tensorflow as tf

_SUM = tf.distribute.ReduceOp.SUM


def num_replicas() -> int:
    """How many replicas run what is being traced; 1 outside of `tf.distribute.Strategy.run`."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def in_multi_worker_mode(strategy) -> bool:
    """Whether a strategy has several processes."""
    return strategy.extended._in_multi_worker_mode()


def total(tensors):
    """Returns tensors, or a structure of them, summed over the replicas.

    >>> from keras_rkm import _replicas
    >>> float(_replicas.total(tf.constant(2.0)))  # outside of a strategy
    2.0
    """
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(_SUM, tensors)


def totals(values):
    """Returns a dict of scalars of one dtype, each summed over the replicas; in one all-reduce."""
    if num_replicas() == 1:
        return values
    return dict(zip(values, tf.unstack(total(tf.stack(list(values.values())))), strict=True))


def as_logs(scalars):
    """Gives a dict of scalars the rank that `fit` takes: of several workers Keras wants vectors."""
    if in_multi_worker_mode(tf.distribute.get_strategy()):
        return {name: tf.reshape(value, [1]) for name, value in scalars.items()}
    return scalars


def mean_of_rows(rows):
    """Returns the mean of the rows of all replicas, `(dim,)`, and their number, a scalar.

    Args:
        rows: Tensor `(batch, dim)`, those of this replica; there may be none.
    """
    if num_replicas() == 1:
        return tf.reduce_mean(rows, axis=0), tf.cast(tf.shape(rows)[0], rows.dtype)
    num_rows = tf.cast(tf.shape(rows)[:1], rows.dtype)
    sums = total(tf.concat([tf.reduce_sum(rows, axis=0), num_rows], axis=0))
    return sums[:-1] / sums[-1], sums[-1]


def assign_if(condition, variables, values):
    """Gives variables new values on each replica, if a condition holds.

    Args:
        condition: Bool scalar, the same on all replicas.
        variables: List of `keras.Variable`.
        values: List of tensors, the values of this replica.

    Returns:
        Tensor, which is there when the variables have them.
    """

    def once_for_all(strategy, condition, *values):
        def assign_all():
            for variable, value in zip(variables, values, strict=True):
                strategy.extended.update(variable.value, lambda own, new: own.assign(new), (value,))
            return tf.constant(True)

        known = strategy.experimental_local_results(condition)[0]
        return tf.cond(known, assign_all, lambda: tf.constant(True))

    return tf.distribute.get_replica_context().merge_call(once_for_all, (condition, *values))


@dataclasses.dataclass(frozen=True)
class Share:
    """The rows that a replica has of the batch of a step.

    Attributes:
        num_rows: Int tensor, of the batch, over all replicas.
        start: Int tensor, the position of the first row of this replica in the batch.
        num_own_rows: Int tensor, of this replica.
        weight: Float tensor, by which each replica counts a value that all have alike: the weights
            of the replicas sum to `num_rows`.
    """

    num_rows: tf.Tensor
    start: tf.Tensor | int
    num_own_rows: tf.Tensor
    weight: tf.Tensor

    @classmethod
    def of(cls, rows):
        """Returns the share of `rows`, a tensor `(batch, ...)`; with an all-reduce."""
        return cls.with_flags(rows)[0]

    @classmethod
    def with_flags(cls, rows, *flags):
        """Returns the share of `rows`, and whether each flag is up on any replica; as `of`.

        Args:
            rows: Tensor `(batch, ...)`.
            *flags: Bool scalars.
        """
        num_own_rows = tf.shape(rows)[0]
        count = num_replicas()
        if count == 1:
            weight = tf.cast(num_own_rows, tf.float32)
            return cls(num_own_rows, 0, num_own_rows, weight), list(flags)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # Floats, since some of the libraries behind an all-reduce on GPUs take nothing else.
        size = tf.cast(num_own_rows, tf.float32)
        facts = tf.stack([*tf.unstack(size * tf.one_hot(replica, count)), *_as_floats(flags)])
        facts = total(facts)
        sizes = tf.cast(facts[:count], tf.int32)
        num_rows = tf.reduce_sum(sizes)
        share = cls(
            num_rows,
            tf.reduce_sum(sizes[:replica]),
            num_own_rows,
            tf.cast(num_rows, tf.float32) / count,
        )
        return share, tf.unstack(facts[count:] > 0, num=len(flags))

    def mean(self, values):
        """This replica's share of the mean over the batch: the shares sum to the mean.

        Args:
            values: Tensor `(batch,)`, one for each row of this replica.
        """
        if num_replicas() == 1:
            return tf.reduce_mean(values)
        return tf.reduce_sum(values) / tf.cast(self.num_rows, values.dtype)

    def of_common(self, value):
        """This replica's share of a value that all replicas have alike."""
        return value / num_replicas()

    def normal(self, dim, seed, dtype):
        """Standard normal values `(batch, dim)`: the noise of a row is that of its place.

        Args:
            dim: Int.
            seed: Ints of shape (2,), the same on all replicas.
            dtype: Of the values.
        """
        return self.own(tf.random.stateless_normal([self.num_rows, dim], seed, dtype=dtype))

    def own(self, rows):
        """The rows of this replica out of those of the batch."""
        if num_replicas() == 1:
            return rows
        return rows[self.start : self.start + self.num_own_rows]

    def gather(self, rows):
        """Returns the rows of all replicas in their order in the batch, `(num_rows, dim)`.

        For small rows, such as latents: every replica gets, and sends, all of them.
        """
        if num_replicas() == 1:
            return rows
        after = self.num_rows - self.start - self.num_own_rows
        return total(tf.pad(rows, [[self.start, after], [0, 0]]))


def _as_floats(flags):
    return [tf.cast(flag, tf.float32) for flag in flags]


def total_over_workers(strategy, array):
    """Returns an array summed over the processes of a strategy; all of them have to call it."""
    return _sum_over_workers(strategy, array, first_only=False)


def of_first_worker(strategy, array):
    """Returns the array that the first process of a strategy has; all of them have to call it."""
    return _sum_over_workers(strategy, array, first_only=True)


def _sum_over_workers(strategy, array, first_only):
    if not in_multi_worker_mode(strategy):
        return array
    values = tf.convert_to_tensor(array)
    shape = tuple(values.shape)
    return _sum_function(strategy, first_only, shape, values.dtype)(values).numpy()


# One for each shape, and traced here: TensorFlow warns of a function that is traced for many.
@functools.cache
def _sum_function(strategy, first_only, shape, dtype):
    num_own = len(strategy.extended.worker_devices)

    def share(values):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        counts = replica == 0 if first_only else replica % num_own == 0
        return total(tf.where(counts, values, tf.zeros_like(values)))

    @tf.function(autograph=False)
    def run(values):
        return strategy.experimental_local_results(strategy.run(share, args=(values,)))[0]

    return run.get_concrete_function(tf.TensorSpec(shape, dtype))
