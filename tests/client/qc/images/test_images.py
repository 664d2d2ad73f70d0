"""Images: real X-rays, planted faults, damaged files."""

import numpy as np
import pytest
from PIL import Image

from cordon_client.qc.images.modality import check_sample, group, look, shrink
from cordon_client.qc.images.read import is_images, read_pictures
from cordon_client.qc.modality import SampleFiles
from cordon_common.errors import DataError
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

PROFILE = builtin_profile("images.v1")
BAD = {Severity.WARN, Severity.FAIL}


def quiet(done, total):
    assert 0 <= done <= total


def judged(sample):
    found = check_sample(sample, PROFILE, quiet)
    return found.stats, {r.check: r for r in found.results}


def npz(shared_data):
    return shared_data / "chestxray_pneumoniamnist/pneumoniamnist.npz"


def test_real_x_rays_are_read_and_their_copies_across_splits_found(shared_data):
    path = npz(shared_data)
    assert is_images(path)
    (sample,) = group([path])
    stats, results = judged(sample)
    assert (stats["images"], stats["labels"], stats["blank"]) == (3166, 2, 0)
    across = results["image.across-splits"]
    with np.load(path) as file:
        arrays = {n: file[n] for n in file.files if n.endswith("images")}
    seen, exact = {}, 0
    for name, images in arrays.items():
        for image in images:
            exact += seen.setdefault(image.tobytes(), name) != name
    assert across.value >= exact
    assert across.value <= exact + 5


@pytest.fixture
def folder(tmp_path, shared_data):
    """Forty X-rays as PNG files; returns (folder, save)."""
    home = tmp_path / "xrays"
    home.mkdir()
    with np.load(npz(shared_data)) as file:
        pixels = file["train_images"][:40]

    def save(index, image, name=None):
        Image.fromarray(image).save(home / (name or f"{index:03d}.png"))

    for index, image in enumerate(pixels):
        save(index, image)
    return home, save, pixels


def severities(home):
    files = sorted(home.glob("*.png"))
    assert all(is_images(f) or f.name.startswith("bad") for f in files)
    (sample,) = group(files)
    _, results = judged(sample)
    return {check: result.severity for check, result in results.items()}


def test_a_clean_folder_has_no_finding(folder):
    assert not BAD & set(severities(folder[0]).values())


def blank(save, pixels):
    save(0, np.full((28, 28), 7, np.uint8))


def saturated(save, pixels):
    image = pixels[0].copy()
    image[:20] = 255
    save(0, image)


def copied(save, pixels):
    save(0, pixels[1])


def nearly_copied(save, pixels):
    save(0, np.clip(pixels[1].astype(int) + 1, 0, 255).astype(np.uint8))


def odd(save, pixels):
    save(0, np.dstack([pixels[0]] * 3))


FAULTS = {
    "image.blank": blank,
    "image.saturated": saturated,
    "image.duplicates": copied,
    "image.size": odd,
}


@pytest.mark.parametrize("check", FAULTS)
def test_a_planted_fault_is_named(folder, check):
    home, save, pixels = folder
    FAULTS[check](save, pixels)
    assert severities(home)[check] is Severity.WARN


def test_a_copy_that_differs_by_one_grey_level_is_found(folder):
    home, save, pixels = folder
    nearly_copied(save, pixels)
    assert severities(home)["image.duplicates"] is Severity.WARN


def test_a_damaged_image_is_counted_and_its_neighbours_are_read(folder):
    home, _, _ = folder
    path = home / "005.png"
    path.write_bytes(path.read_bytes()[:200])
    assert severities(home)["image.readable"] is Severity.WARN


def test_copies_with_different_labels_are_named(tmp_path, shared_data):
    with np.load(npz(shared_data)) as file:
        images, labels = file["train_images"][:30].copy(), file["train_labels"][:30].copy()
    images[0], labels[0], labels[1] = images[1], 0, 1
    np.savez(tmp_path / "x.npz", train_images=images, train_labels=labels)
    _, results = judged(SampleFiles("x", (tmp_path / "x.npz",)))
    assert results["image.conflicting-labels"].severity is Severity.WARN


def test_colour_and_sixteen_bit_images_are_read(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (9, 7, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(rng.integers(0, 60000, (9, 7)).astype(np.uint16)).save(tmp_path / "b.png")
    pixels = [p.pixels for p in read_pictures(sorted(tmp_path.glob("*.png")))]
    assert [p.shape for p in pixels] == [(9, 7, 3), (9, 7)]
    assert pixels[1].max() > 255


def test_images_of_other_shapes_never_look_alike():
    image = np.outer(np.arange(28.0), np.ones(28)) * 9
    thumbnail = shrink(image)
    assert thumbnail.shape == (8, 9)
    assert look(thumbnail, (28, 28)) != look(thumbnail, (28, 28, 3))


def test_files_without_images_are_refused(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 cut off")
    assert not is_images(tmp_path / "bad.npz")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for name in ("bad.npz", "bad.png"):
        with pytest.raises(DataError) as caught:
            check_sample(SampleFiles("x", (tmp_path / name,)), PROFILE, quiet)
        assert caught.value.code == "DA071"
