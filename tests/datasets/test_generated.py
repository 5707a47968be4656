"""What all generated sets promise: the grid, the splits, pure rendering."""

import numpy as np
import pytest

from keras_rkm.datasets import GENERATED_SETS, DSpritesLike, Shapes3DLike
from keras_rkm.datasets.generated import average_areas


@pytest.fixture(params=sorted(GENERATED_SETS))
def generated(request):
    return GENERATED_SETS[request.param](image_size=16)


def test_grid_has_as_many_points_as_the_original():
    assert DSpritesLike().num_images == 3 * 6 * 40 * 32 * 32 == 737_280
    assert Shapes3DLike().num_images == 10 * 10 * 10 * 8 * 4 * 15 == 480_000


def test_last_factor_runs_fastest(generated):
    sizes = [factor.size for factor in generated.factor_info]
    strides = np.cumprod([1, *sizes[:0:-1]])[::-1]
    indices = np.random.default_rng(0).integers(0, generated.num_images, 200)
    classes = generated.factor_classes_at(indices)
    assert classes.dtype == np.int64
    np.testing.assert_array_equal(classes @ strides, indices)


def test_values_are_those_of_the_originals():
    last = DSpritesLike().factors_at([737_279])[0]
    np.testing.assert_allclose(last, [3, 1, 2 * np.pi * 39 / 40, 1, 1])
    np.testing.assert_allclose(DSpritesLike().factors_at([0])[0], [1, 0.5, 0, 0, 0])
    np.testing.assert_allclose(Shapes3DLike().factors_at([0])[0], [0, 0, 0, 0.75, 0, -30])
    last = Shapes3DLike().factors_at([479_999])[0]
    np.testing.assert_allclose(last, [0.9, 0.9, 0.9, 1.25, 3, 30])


def test_image_depends_on_its_classes_alone(generated):
    classes = generated.factor_classes_at(generated.split_indices("train")[:300])
    images = generated.render(classes)
    assert images.dtype == np.uint8 and images.shape == (300, *generated.image_shape)
    np.testing.assert_array_equal(images[::-1], generated.render(classes[::-1]))
    np.testing.assert_array_equal(images[[7]], type(generated)(image_size=16).render(classes[[7]]))


def test_splits_are_disjoint_complete_and_fixed(generated):
    train, test = generated.split_indices("train"), generated.split_indices("test")
    assert len(test) == generated.num_images // 10
    np.testing.assert_array_equal(
        np.sort(np.concatenate([train, test])), np.arange(generated.num_images)
    )
    np.testing.assert_array_equal(test, type(generated)().split_indices("test"))
    # Every class of every factor is in the test split about as often as in the grid.
    for column, factor in zip(
        generated.factor_classes_at(test).T, generated.factor_info, strict=True
    ):
        shares = np.bincount(column, minlength=factor.size) * factor.size / len(test)
        assert (np.abs(shares - 1) < 0.15).all()


def test_sample_is_seeded_and_described_by_its_factors(generated):
    sample = generated.load(num_images=200, seed=4)
    weights = np.cumprod([1, *generated.sizes[:0:-1]])[::-1]
    indices = sample.factor_classes @ weights
    assert len(set(indices)) == 200 and set(indices) <= set(generated.split_indices("train"))
    np.testing.assert_array_equal(sample.images, generated.render(sample.factor_classes))
    np.testing.assert_array_equal(sample.factors, generated.factors_at(indices))
    again = generated.load(num_images=200, seed=4)
    np.testing.assert_array_equal(sample.images, again.images)
    other = generated.load(num_images=200, seed=5)
    assert (sample.factor_classes != other.factor_classes).any()
    # Not in the order of the grid: the head of the sample is a sample too.
    assert (np.diff(indices) < 0).sum() > 50


def test_sample_knows_its_split(generated):
    test = generated.load(split="test", num_images=50)
    weights = np.cumprod([1, *generated.sizes[:0:-1]])[::-1]
    assert set(test.factor_classes @ weights) <= set(generated.split_indices("test"))
    with pytest.raises(ValueError, match="'train' or 'test'.*split='all'"):
        generated.load(split="all", num_images=10)


@pytest.mark.parametrize("image_size", [16, 32])
@pytest.mark.parametrize("name", sorted(GENERATED_SETS))
def test_small_images_are_area_averages_of_large_ones(name, image_size):
    large, small = GENERATED_SETS[name](), GENERATED_SETS[name](image_size=image_size)
    classes = large.factor_classes_at(large.split_indices("train")[:20])
    step = 64 // image_size
    tiles = large.render(classes).astype(float)
    tiles = tiles.reshape(20, image_size, step, image_size, step, -1).mean(axis=(2, 4))
    np.testing.assert_allclose(small.render(classes), tiles, atol=1.01)


def test_size_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="64, 32 or 16 for 'dsprites_like'.*image_size=48"):
        DSpritesLike(image_size=48)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([[0, 0, 0, 0]], r"integers \(num_samples, 5\).*shape=\(1, 4\)"),
        ([0, 0, 0, 0, 0], r"shape=\(5,\)"),
        ([[0, 0, 0, 0, 0.5]], "dtype=float64"),
        ([[0, 0, 40, 0, 0]], r"below \(3, 6, 40, 32, 32\).*maxima \[0, 0, 40, 0, 0\]"),
        ([[0, -1, 0, 0, 0]], r"minima \[0, -1, 0, 0, 0\]"),
    ],
)
def test_classes_off_the_grid_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        DSpritesLike().render(classes)


def test_no_classes_give_no_images():
    assert DSpritesLike().render(np.zeros((0, 5), int)).shape == (0, 64, 64, 1)


def test_average_areas_by_hand():
    image = np.array([[1, 3, 0, 0], [5, 7, 0, 8]], np.uint8)[..., np.newaxis]
    np.testing.assert_array_equal(average_areas(image, 2)[..., 0], [[4, 2]])
