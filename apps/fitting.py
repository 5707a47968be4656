"""Training that can break off at any moment and go on as if it had not."""

import keras

from keras_rkm import callbacks
from keras_rkm.datasets import Dataset
from keras_rkm.models import StiefelRKM

from .errors import INTERRUPT_STATUS, CommandError, describe
from .run_folder import RunFolder
from .summaries import training_callbacks


def fit(
    folder: RunFolder,
    model: StiefelRKM,
    train: Dataset,
    held_out: Dataset,
    *,
    batch_size: int,
    start_step: int,
    num_steps: int,
    seed: int,
    checkpoint_every: int = 1,
    evaluate_every: int = 0,
    verbose: int = 1,
) -> None:
    """Trains from step `start_step` up to `num_steps`, keeping `folder` up to date.

    Args:
        folder: `RunFolder` for the checkpoints, the history and TensorBoard's logs.
        model: Compiled `StiefelRKM`, as it was after `start_step` steps.
        train: Images to train on.
        held_out: Images for the logs that begin with `val_`.
        batch_size: Int; an epoch has only full batches, and leaves out other images each time.
        start_step: Int, at the end of an epoch.
        num_steps: Int, the last epoch ends there.
        seed: Int, decides the order of the images.
        checkpoint_every: Int, epochs between checkpoints; the last step has one too.
        evaluate_every: Int, epochs between measures of held-out images; 0 for none.
        verbose: As in `keras.Model.fit`.

    Raises:
        CommandError: If it breaks off; says which checkpoint there is.
    """
    steps_per_epoch = train.num_images // batch_size
    first_epoch = start_step // steps_per_epoch
    folder.truncate_history(first_epoch)
    checkpoints = _Checkpoints(folder, start_step, num_steps, checkpoint_every)
    try:
        model.fit(
            train.batches(
                batch_size, seed=seed, drop_remainder=True, num_epochs=None, start_step=start_step
            ),
            validation_data=held_out.batches(batch_size, shuffle=False),
            initial_epoch=first_epoch,
            epochs=-(-num_steps // steps_per_epoch),
            steps_per_epoch=steps_per_epoch,
            shuffle=False,
            verbose=verbose,
            callbacks=[
                callbacks.StopOnNonFinite(),
                *_summaries(folder, held_out, evaluate_every),
                keras.callbacks.CSVLogger(folder.history_file, append=True),
                checkpoints,
            ],
        )
    except KeyboardInterrupt:
        raise CommandError(
            f"interrupted. {folder.describe_checkpoint()} To go on from there: "
            f"keras-rkm train --output_dir={folder.path} --resume",
            status=INTERRUPT_STATUS,
        ) from None
    except (ValueError, FloatingPointError, OSError) as error:
        message, _ = describe(error)
        # The batch, the full disk and the callback say where; the model does not know the epoch.
        if isinstance(error, FloatingPointError) and error.__cause__:
            epoch, step = divmod(checkpoints.step, steps_per_epoch)
            message += f" It was at epoch {epoch + 1}, step {step + 1}"
        raise CommandError(f"{message.rstrip('.')}. {folder.describe_checkpoint()}") from error


def _summaries(
    folder: RunFolder, held_out: Dataset, evaluate_every: int
) -> list[keras.callbacks.Callback]:
    return training_callbacks(folder, held_out, evaluate_every)


class _Checkpoints(keras.callbacks.Callback):
    """Counts the steps, saves at the end of epochs, and stops at the last step."""

    def __init__(self, folder: RunFolder, start_step: int, num_steps: int, every: int):
        super().__init__()
        self._folder = folder
        # Not the optimizer's counter: it leaves out the steps that loss scaling skips.
        self.step = start_step
        self._num_steps = num_steps
        self._every = every

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step >= self._num_steps:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self._every == 0 or self.step >= self._num_steps:
            self._folder.save_checkpoint(self.model, self.step)
