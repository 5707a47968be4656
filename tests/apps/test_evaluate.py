"""`keras-rkm evaluate`: what a run is worth, to files, a table and TensorBoard."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

import keras_rkm
from apps.data import load_train_and_held_out
from apps.flag_files import read_flags
from apps.run_folder import RunFolder
from keras_rkm import evaluation
from keras_rkm.evaluation import MEASURES

QUICK = ("--num_rotations=0", "--measures=reconstruction_error,dci_lasso,irs")
DATA = ("--dataset=dsprites_like", "--image_size=16", "--num_images=200")
# Of the small run that `finished` is.
HELD_OUT = {"num_images": 100, "image_size": 16, "seed": 0}


@pytest.fixture
def run(finished, tmp_path):
    """A copy of a finished run that a test may write to."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def evaluate(run_alone, run):
    """A function that runs the command on that copy."""

    def call(*arguments):
        return run_alone("evaluate", f"--run={run}", *arguments)

    return call


def _written(run):
    return json.loads((run / "metrics.json").read_text())["evaluation"]


def _scalars(folder):
    found = {}
    for file in folder.iterdir():
        for record in tf.data.TFRecordDataset(str(file)):
            event = event_pb2.Event.FromString(record.numpy())
            found |= {each.tag: (event.step, each.tensor) for each in event.summary.value}
    return found


def test_held_out_images_of_the_run_are_measured(evaluate, run):
    result = evaluate(*QUICK, "--num_threads=1")
    assert result.status == 0, result.err
    held_out = load_train_and_held_out("dsprites_like", **HELD_OUT)[1]
    assert f"{held_out.num_images} of them" in result.out
    model, _ = keras_rkm.load(run)
    expected = evaluation.evaluate(
        model,
        held_out.images,
        **held_out.factor_arguments(),
        measures=["reconstruction_error"],
    )
    written = _written(run)
    for name, measured in expected.measured.items():
        scores = written["measured"][name]["scores"]
        assert scores == pytest.approx(measured.scores, rel=1e-5), name
        assert f"{name}: " in result.out


def test_what_train_has_written_stays(evaluate, run):
    before = json.loads((run / "metrics.json").read_text())
    for _ in range(2):
        assert evaluate(*QUICK).status == 0
    after = json.loads((run / "metrics.json").read_text())
    assert after.pop("evaluation")["settings"]["seed"] == 0
    assert after == before


@pytest.mark.slow
def test_dataset_of_choice_is_measured_with_all_that_it_allows(evaluate, run):
    result = evaluate(
        "--dataset=dsprites_like", "--image_size=16", "--num_images=400", "--num_rotations=0"
    )
    assert result.status == 0, result.err
    written = _written(run)
    features = {name for name, group in MEASURES.items() if group == "generation"}
    features.remove("laplacian_sliced_wasserstein_distance")
    assert set(written["measured"]) == set(MEASURES) - features
    assert set(written["skipped"]) == features
    assert written["images"] == "dsprites_like, test"
    lasso = written["measured"]["dci_lasso_by_kind"]["report"]
    assert lasso["factor_kinds"] == [
        "categorical",
        "continuous",
        "circular",
        "continuous",
        "continuous",
    ]
    table = (run / "evaluation.md").read_text()
    for name, measured in written["measured"].items():
        for score, value in measured["scores"].items():
            assert f"| {name} | {score} | {value:.4g} " in table
    assert "Left out: frechet_distance" in result.out


def test_pictures_and_tensorboard_hold_the_last_evaluation_only(evaluate, run):
    for seed in (0, 1):
        assert evaluate(*DATA, *QUICK, f"--seed={seed}").status == 0
    events = run / "tensorboard" / "final_evaluation"
    assert len(list(events.iterdir())) == 1
    scalars = _scalars(events)
    written = _written(run)
    assert written["settings"]["seed"] == 1
    steps, value = scalars["disentanglement/dci_lasso/disentanglement"]
    assert steps == json.loads((run / "metrics.json").read_text())["steps"] > 0
    expected = written["measured"]["dci_lasso"]["scores"]["disentanglement"]
    assert tf.make_ndarray(value) == pytest.approx(expected, rel=1e-6)
    assert "disentanglement/importances" in scalars
    picture = keras.utils.load_img(run / "importances.png")
    assert picture.width > picture.height > 100


def test_images_without_factors_have_no_importances(evaluate, run, tmp_path):
    (tmp_path / "images").mkdir()
    for index in range(4):
        image = np.random.default_rng(index).integers(0, 255, (16, 16, 1))
        keras.utils.save_img(tmp_path / "images" / f"{index}.png", image, scale=False)
    result = evaluate(f"--dataset={tmp_path / 'images'}", *QUICK)
    assert result.status == 0, result.err
    assert list(_written(run)["measured"]) == ["reconstruction_error"]
    assert not (run / "importances.png").exists()


def test_three_rotations_are_the_control_unless_another_number_is_given(evaluate, run):
    assert evaluate(*DATA, "--measures=irs").status == 0
    assert _written(run)["measured"]["irs"]["rotation_control"]["num_rotations"] == 3
    assert evaluate(*DATA, *QUICK, "--num_resamples=4").status == 0
    measured = _written(run)["measured"]["irs"]
    assert "rotation_control" not in measured
    assert "95 % of 4 half_samples" in measured["bootstrap"]["method"]


def test_features_of_a_classifier_are_compared(evaluate, run, tmp_path):
    classifier = keras.Sequential(
        [keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    classifier.save(tmp_path / "classifier.keras")
    result = evaluate(
        f"--features={tmp_path / 'classifier.keras'}",
        "--measures=frechet_distance,precision_recall",
        "--num_draws=2",
        *DATA,
    )
    assert result.status == 0, result.err
    measured = _written(run)["measured"]["frechet_distance"]
    assert measured["report"]["protocol"] == "penultimate layer of classifier.keras"
    assert measured["report"]["num_features"] == 256
    assert len(measured["draws"]) == 2
    assert "precision_recall" in (run / "evaluation.md").read_text()


def test_inception_needs_its_weights(evaluate, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    result = evaluate("--features=inception_common")
    assert result.status == 1
    assert "weights of Inception v3 are not in" in result.error


def test_file_of_a_model_is_measured_beside_itself(run_alone, run, tmp_path):
    (tmp_path / "alone").mkdir()
    file = shutil.copy(run / "model.keras", tmp_path / "alone" / "mine.keras")
    result = run_alone("evaluate", f"--run={file}", *DATA, *QUICK)
    assert result.status == 0, result.err
    assert {path.name for path in (tmp_path / "alone").iterdir()} == {
        "mine.keras",
        "evaluation.md",
        "importances.png",
        "metrics.json",
        "tensorboard",
    }


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--measures=dci_laso",), 2, "it takes names out of reconstruction_error,"),
        (("--measures=",), 2, "it takes names out of"),
        (("--inception_weights=w.h5",), 2, "belongs to --features=inception_common"),
        (("--num_rotations=100000000",), 2, "--num_rotations"),
        (("--features=nowhere.keras",), 1, "nowhere.keras, which is no file"),
        (("--num_images=5",), 2, "--num_images chooses images of a --dataset"),
        (("--split=test",), 2, "--split chooses images of a --dataset"),
        (("--num_resamples=1",), 2, "it must be 0 or at least 2"),
        (("--num_threads=0",), 2, "it must not be 0"),
        (("--preset=slow",), 2, "slow"),
        (("--dataset=dsprites_like",), 1, "resize them by --image_size=16"),
        (("--measures=frechet_distance",), 1, "nothing could be measured. frechet_distance: the"),
    ],
)
def test_mistakes_are_told_in_one_line(evaluate, run, arguments, status, message):
    before = {path.name for path in run.iterdir()}
    result = evaluate(*arguments)
    assert result.status == status
    assert message in result.error
    assert {path.name for path in run.iterdir()} == before


def test_features_must_fit_the_images(evaluate, tmp_path):
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]).save(
        tmp_path / "small.keras"
    )
    result = evaluate(f"--features={tmp_path / 'small.keras'}")
    assert result.status == 1
    assert "takes images of the shape (8, 8, 1), and those of the run have (16, 16, 1)" in (
        result.error
    )
    (tmp_path / "broken.keras").write_bytes(b"no archive")
    result = evaluate(f"--features={tmp_path / 'broken.keras'}")
    assert "broken.keras' cannot be used" in result.error


def test_run_without_its_flags_asks_for_a_dataset(evaluate, run):
    (run / "flags.txt").unlink()
    result = evaluate()
    assert result.status == 1
    assert "does not tell which images it was trained on" in result.error
    assert "--dataset" in result.error
    (run / "flags.txt").write_text("--seed=0\n")
    assert "has no --dataset" in evaluate().error


def test_damaged_metrics_are_not_overwritten(evaluate, run):
    (run / "metrics.json").write_text("{")
    result = evaluate(*QUICK)
    assert result.status == 1
    assert "would be lost" in result.error
    assert (run / "metrics.json").read_text() == "{"


@pytest.fixture
def change_flags(run):
    """A function that puts other values into the `flags.txt` of the run, as if train had."""
    (run / "metrics.json").unlink()

    def change(**values):
        lines = (run / "flags.txt").read_text().splitlines()
        kept = [line for line in lines if line[2:].split("=")[0] not in values]
        given = [f"--{name}={value}" for name, value in values.items()]
        (run / "flags.txt").write_text("\n".join([*kept, *given]) + "\n")

    return change


@pytest.mark.parametrize(
    ("changed", "options"),
    [
        ({"seed": 3}, {"seed": 3}),
        (
            {"factor_classes": "shape=1,orientation=0:20"},
            {"factor_classes": {"shape": (1, 2), "orientation": (0, 20)}},
        ),
        ({"num_images": 60}, {"num_images": 60}),
    ],
)
def test_held_out_images_follow_the_flags_of_the_run(evaluate, run, change_flags, changed, options):
    change_flags(**changed)
    assert evaluate("--measures=reconstruction_error").status == 0
    held_out = load_train_and_held_out("dsprites_like", **{**HELD_OUT, **options})[1]
    expected = evaluation.evaluate(
        keras_rkm.load(run).model, held_out.images, measures=["reconstruction_error"]
    )
    written = _written(run)["measured"]["reconstruction_error"]
    assert written["report"]["num_samples"] == held_out.num_images
    assert written["scores"] == pytest.approx(
        expected["reconstruction_error"].scores, rel=1e-5, abs=1e-9
    )


def test_held_out_images_of_a_folder_are_those_that_were_not_trained_on(
    evaluate, run, change_flags, tmp_path
):
    np.savez(
        tmp_path / "images.npz",
        images=np.random.default_rng(0).integers(0, 256, (70, 16, 16, 1), np.uint8),
    )
    change_flags(dataset=tmp_path / "images.npz", num_images=50, seed=2)
    assert evaluate("--measures=reconstruction_error").status == 0
    train, held_out = load_train_and_held_out(
        str(tmp_path / "images.npz"), **{**HELD_OUT, "num_images": 50, "seed": 2}
    )
    assert not {image.tobytes() for image in train.images} & {
        image.tobytes() for image in held_out.images
    }
    expected = evaluation.evaluate(
        keras_rkm.load(run).model, held_out.images, measures=["reconstruction_error"]
    )
    scores = _written(run)["measured"]["reconstruction_error"]["scores"]
    assert scores == pytest.approx(expected["reconstruction_error"].scores, rel=1e-5)


@pytest.mark.parametrize(
    ("in_file", "given", "expected"),
    [
        ([], [], None),
        (["--data_dir=of/run"], [], "of/run"),
        (["--data_dir=of/run"], ["--data_dir=given"], "given"),
    ],
)
def test_data_of_tensorflow_are_sought_where_the_run_had_them(
    evaluate, run, monkeypatch, in_file, given, expected
):
    seen = {}

    def load(name, **options):
        seen.update(options)
        return load_train_and_held_out(name, **{**options, "data_dir": None})

    monkeypatch.setattr("apps.run_inputs.load_train_and_held_out", load)
    (run / "flags.txt").write_text((run / "flags.txt").read_text() + "\n".join(in_file))
    assert evaluate("--measures=reconstruction_error", "--download", *given).status == 0
    assert (seen["data_dir"], seen["download"]) == (expected, True)


def test_held_out_images_must_fit_the_model(evaluate, change_flags):
    change_flags(image_size=32)
    result = evaluate("--measures=reconstruction_error")
    assert result.status == 1
    assert "32x32x1, and the model takes 16x16x1" in result.error


def test_preset_and_sampler_of_choice_are_taken_and_told(evaluate, run, tmp_path):
    sampler = keras_rkm.samplers.StandardNormalSampler(latent_dim=3)
    sampler.save(tmp_path / "sampler.keras")
    result = evaluate("--preset=fast", f"--sampler={tmp_path / 'sampler.keras'}", *QUICK)
    assert result.status == 0, result.err
    written = _written(run)
    assert (written["preset"], written["features"]) == ("fast", None)
    assert written["settings"]["sampler"] == "StandardNormalSampler"
    result = evaluate("--preset=fast", "--num_rotations=0", *DATA)
    assert result.status == 0, result.err
    written = _written(run)
    assert set(written["measured"]) | set(written["skipped"]) == set(
        evaluation.PRESETS["fast"].measures
    )
    assert written["settings"]["sampler"] == "GaussianSampler"


def test_weights_of_inception_are_those_of_the_flag(evaluate, tmp_path):
    file = tmp_path / "nowhere.h5"
    result = evaluate("--features=inception_common", f"--inception_weights={file}")
    assert result.status == 1
    assert str(file) in result.error


def test_folder_that_cannot_be_written_is_told_before_anything_is_measured(evaluate, monkeypatch):
    def write_bytes(path, data):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.write_bytes", write_bytes)
    result = evaluate(*QUICK)
    assert result.status == 1
    assert "cannot write to the folder" in result.error
    assert not result.out


def test_metrics_that_are_no_table_are_not_overwritten(evaluate, run):
    (run / "metrics.json").write_text("[1]")
    result = evaluate(*QUICK)
    assert "it holds a list" in result.error
    assert (run / "metrics.json").read_text() == "[1]"


def test_flags_of_a_run_are_texts_by_name(tmp_path):
    (tmp_path / "flags.txt").write_text(
        "--dataset=a=b\n\n--nodownload\n--resume\n--noise_stddev=0.1\n --seed=3 \n--split=\n"
    )
    assert read_flags(RunFolder(tmp_path)) == {
        "dataset": "a=b",
        "download": "false",
        "resume": "true",
        "noise_stddev": "0.1",
        "seed": "3",
        "split": "",
    }


def test_picture_of_an_evaluation_before_does_not_stay(evaluate, run):
    assert evaluate(*DATA, *QUICK).status == 0
    assert (run / "importances.png").exists()
    assert evaluate(*DATA, "--measures=reconstruction_error").status == 0
    assert not (run / "importances.png").exists()


def test_checkpoints_are_left_to_the_training(run_alone, run):
    checkpoints = sorted((run / "checkpoints").iterdir())
    checkpoint = checkpoints[-1]
    result = run_alone("evaluate", f"--run={checkpoint}", *DATA, *QUICK)
    assert result.status == 1
    assert "is a checkpoint, whose folder belongs to the training" in result.error
    assert sorted((run / "checkpoints").iterdir()) == checkpoints


def test_images_that_have_changed_since_the_training_are_told(evaluate, run):
    told = json.loads((run / "metrics.json").read_text())
    told["num_held_out_images"] += 1
    (run / "metrics.json").write_text(json.dumps(told))
    result = evaluate(*QUICK)
    assert result.status == 1
    assert "have changed since the training, which held out 11 of them" in result.error


@pytest.mark.parametrize("line", ["--seed=many", "--image_size=", "--factor_classes=shape"])
def test_damaged_flags_of_a_run_are_told(evaluate, run, line):
    flags_file = run / "flags.txt"
    name = line.split("=")[0]
    kept = [each for each in flags_file.read_text().splitlines() if not each.startswith(name)]
    flags_file.write_text("\n".join([*kept, line]) + "\n")
    result = evaluate(*QUICK)
    assert result.status == 1
    assert "flags.txt' is damaged" in result.error
    assert "--dataset" in result.error


def test_classifier_of_images_of_any_size_fits(evaluate, run, tmp_path):
    keras.Sequential(
        [
            keras.Input((None, None, 1)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
            keras.layers.Dense(2),
        ]
    ).save(tmp_path / "any.keras")
    result = evaluate(
        f"--features={tmp_path / 'any.keras'}", *DATA, "--measures=sliced_wasserstein_distance"
    )
    assert result.status == 0, result.err


def test_classifier_takes_images_alone(evaluate, tmp_path):
    inputs = [keras.Input((16, 16, 1)), keras.Input((3,))]
    joined = keras.layers.concatenate([keras.layers.Flatten()(inputs[0]), inputs[1]])
    keras.Model(inputs, keras.layers.Dense(2)(joined)).save(tmp_path / "two.keras")
    result = evaluate(f"--features={tmp_path / 'two.keras'}")
    assert result.status == 1
    assert "It takes 2 inputs" in result.error
