"""Reading COCO-format folders, and splits that must not leak."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastsam.datasets import annotation_mask, annotation_rle, check_listed, known_ious, read_coco, read_listed
from fastsam.errors import DatasetError, InputError
from fastsam.masks.rle import decode_rle, encode_rle
from tests.drawing import ellipse, rectangle, runs

SIZE = (30, 40)
DISC = ellipse(SIZE, 4, 4, 24, 24)
SQUARE = [10, 10, 20, 10, 20, 20, 10, 20]


def write(root: Path, content: Any, heldout: str | None = None) -> Path:
    """Write a dataset folder; its images need not be there to be listed."""
    root.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (root / "instances.json").write_text(text, encoding="utf-8")
    if heldout is not None:
        (root / "heldout.txt").write_text(heldout, encoding="utf-8")
    return root


def coco() -> dict[str, Any]:
    """Three images: two objects and a crowd, one object, none."""
    images = [
        {"id": number, "file_name": name, "height": 30, "width": 40}
        for number, name in ((7, "b.jpg"), (3, "a.jpg"), (5, "sub/c d.jpg"))
    ]
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 2, "segmentation": [SQUARE]},
        {"id": 2, "image_id": 3, "category_id": 2, "segmentation": encode_rle(DISC)},
        {"id": 3, "image_id": 7, "category_id": 1, "segmentation": {"size": [30, 40], "counts": runs(DISC)}},
        {"id": 4, "image_id": 7, "category_id": 1, "iscrowd": 1, "segmentation": [SQUARE]},
        {"id": 5, "image_id": 7, "category_id": 1, "segmentation": []},
        {"id": 6, "image_id": 99, "category_id": 1, "segmentation": [SQUARE]},
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 2, "name": "leaf"}]}


def test_a_folder_in_order_of_names(tmp_path: Path) -> None:
    found = read_coco(write(tmp_path / "leaves", coco()))
    assert (found.name, found.split, found.categories) == ("leaves", "all", {2: "leaf"})
    assert [image.path for image in found.images] == [
        tmp_path / "leaves" / "images" / name for name in ("a.jpg", "b.jpg", "sub/c d.jpg")
    ]
    assert [[one["id"] for one in image.annotations] for image in found.images] == [[2], [1, 3], []]
    assert [[one["id"] for one in image.crowds] for image in found.images] == [[], [4], []]
    first, second, third = (image.masks() for image in found.images)
    assert np.array_equal(first, DISC[None])
    assert np.array_equal(second[1], DISC)
    assert (third.shape, third.dtype) == ((0, *SIZE), bool)
    assert read_coco(str(tmp_path / "leaves")).images == found.images


@pytest.mark.parametrize(
    "listing",
    [
        "b.jpg\nsub/c d.jpg\n",
        "b.jpg\r\nsub/c d.jpg\r\n",
        "  b.jpg \n\n sub/c d.jpg",
        "sub/c d.jpg\nb.jpg\ngone.jpg",
    ],
)
def test_held_out_images_are_never_trained_on(tmp_path: Path, listing: str) -> None:
    (write(tmp_path, coco()) / "heldout.txt").write_bytes(listing.encode())

    def names(split: Any) -> list[str]:
        folder = tmp_path / "images"
        return [image.path.relative_to(folder).as_posix() for image in read_coco(tmp_path, split).images]

    assert names("train") == ["a.jpg"]
    assert names("heldout") == ["b.jpg", "sub/c d.jpg"]
    assert names("all") == ["a.jpg", "b.jpg", "sub/c d.jpg"]


def test_without_a_listing_everything_is_for_training(tmp_path: Path) -> None:
    write(tmp_path, coco())
    assert len(read_coco(tmp_path, "train").images) == len(read_coco(tmp_path).images) == 3
    with pytest.raises(DatasetError, match=r"needs a file heldout\.txt"):
        read_coco(tmp_path, "heldout")


@pytest.mark.parametrize("split", ["val", "test", "held-out", "", None, 1])
def test_a_split_that_does_not_exist_is_not_training(tmp_path: Path, split: Any) -> None:
    write(tmp_path, coco(), "b.jpg")
    with pytest.raises(DatasetError, match=r"split .*: expected one of train, heldout, all"):
        read_coco(tmp_path, split)


def test_no_images_at_all(tmp_path: Path) -> None:
    assert read_coco(write(tmp_path, {"images": [], "annotations": []})).images == ()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "5",
        "null",
        '"text"',
        "{}",
        {"images": []},
        {"annotations": []},
        {"images": 5, "annotations": []},
        {"images": [5], "annotations": []},
        {"images": [{"id": 1}], "annotations": []},
        {"images": [{"id": 1, "file_name": "a", "height": "tall", "width": 4}], "annotations": []},
        {"images": [{"id": 1, "file_name": 5, "height": 4, "width": 4}], "annotations": []},
        {"images": [], "annotations": [{"segmentation": [SQUARE]}]},
        {"images": [], "annotations": ["x"]},
        {"images": [], "annotations": [], "categories": [{"id": 1}]},
    ],
    ids=lambda content: str(content)[:40],
)
def test_what_is_no_coco(tmp_path: Path, content: Any) -> None:
    with pytest.raises(DatasetError, match=r"instances\.json: (expected|image 1, height)") as caught:
        read_coco(write(tmp_path, content))
    assert isinstance(caught.value, InputError)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "instances.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="expected JSON"):
        read_coco(tmp_path)


def test_a_folder_without_annotations(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(DatasetError, match=r"expected a file instances\.json"):
            read_coco(folder)


def test_polygons_of_one_object_add_up() -> None:
    parts = [SQUARE, [30, 2, 36, 2, 36, 8, 30, 8]]
    mask = annotation_mask({"segmentation": parts}, SIZE)
    exact = rectangle(SIZE, 10, 10, 20, 20) | rectangle(SIZE, 30, 2, 36, 8)
    assert (exact <= mask).all()
    rle = decode_rle(annotation_rle({"segmentation": parts}, SIZE))
    assert np.array_equal(rle, exact)
    overlapping = [SQUARE, [15, 15, 25, 15, 25, 25, 15, 25]]
    both = rectangle(SIZE, 10, 10, 20, 20) | rectangle(SIZE, 15, 15, 25, 25)
    assert (both <= annotation_mask({"segmentation": overlapping}, SIZE)).all()
    assert np.array_equal(decode_rle(annotation_rle({"segmentation": overlapping}, SIZE)), both)


@pytest.mark.parametrize("read", [annotation_mask, annotation_rle])
@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([[1, 2, 3, 4, 5, 6, 7]], "flat lists of x, y"),
        ([["a", "b", "c", "d", "e", "f"]], "flat lists of x, y"),
        ([SQUARE, None], "flat lists of x, y"),
        ([[1, 2, 3, 4, 5, float("nan")]], "finite"),
        ({"size": [40, 30], "counts": [1200]}, r"size of its image \(30, 40\) \(H, W\), got \(40, 30\)"),
        ({"size": [30, 40], "counts": [7]}, "counts add up to 7"),
        ({"size": [30, 40], "counts": "?"}, "rle"),
        ({"counts": "?"}, "rle"),
        ("?", "rle"),
    ],
    ids=str,
)
def test_what_is_no_segmentation(read: Any, segmentation: Any, said: str) -> None:
    with pytest.raises(DatasetError, match=f"annotation 8: .*{said}"):
        read({"id": 8, "segmentation": segmentation}, SIZE)


def test_polygons_that_enclose_nothing_are_empty_masks() -> None:
    assert not annotation_mask({"segmentation": [[1, 1, 5, 5]]}, SIZE).any()
    assert not decode_rle(annotation_rle({"segmentation": [[1, 1, 5, 5]]}, SIZE)).any()


def test_masks_of_a_crowd_have_no_known_fit() -> None:
    whole, half, away = (
        rectangle(SIZE, 0, 0, 10, 10),
        rectangle(SIZE, 5, 0, 15, 10),
        rectangle(SIZE, 20, 10, 30, 20),
    )
    masks = [encode_rle(mask) for mask in (whole, half, away)]
    crowd = [encode_rle(rectangle(SIZE, 0, 0, 10, 10))]
    ious = np.array([[0.1], [0.6], [0.2]])
    found = known_ious(ious, masks, crowd)
    assert np.isnan(found[0])
    assert found[1:].tolist() == [0.6, 0.2]  # what fits an object is known, though half of it is in the crowd
    assert known_ious(ious, masks, []).tolist() == [0.1, 0.6, 0.2]
    assert known_ious(np.zeros((0, 3)), [], crowd).shape == (0,)


# --- what a data set may claim ------------------------------------------------------------------------


@pytest.mark.parametrize("far", [1e9, -1e9, 1e300])
def test_corners_far_away_never_reach_native_code(far: float, tmp_path: Path) -> None:
    content = one_image([[0, 0, far, 0, far, far]])
    image = read_coco(write(tmp_path, content)).images[0]
    for rasterise in (image.rles, image.masks):
        with pytest.raises(DatasetError, match=r"corners near its image of 50x40"):
            rasterise()


def one_image(segmentation: Any, **record: Any) -> dict[str, Any]:
    image = {"id": 1, "file_name": "a.png", "width": 50, "height": 40, **record}
    return {"images": [image], "annotations": [{"id": 1, "image_id": 1, "segmentation": segmentation}]}


def test_an_rle_that_claims_a_huge_image_is_not_decoded(tmp_path: Path) -> None:
    content = one_image({"size": [60_000, 60_000], "counts": [3_600_000_000]})
    with pytest.raises(DatasetError, match=r"size of its image \(40, 50\)"):
        read_coco(write(tmp_path, content)).images[0].masks()


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"height": -1}, "height: expected a whole number"),
        ({"height": 2**31}, "height: expected a whole number"),
        ({"file_name": "../../etc/hostname"}, "inside images/"),
        ({"file_name": "/etc/hostname"}, "inside images/"),
        ({"file_name": "C:\\a.png"}, "inside images/"),
        ({"file_name": "a" * 5_000}, "at most 255 bytes"),
        ({"file_name": ""}, "inside images/"),
    ],
)
def test_records_that_lead_astray(record: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=said):
        read_coco(write(tmp_path, one_image([SQUARE], **record)))


def test_annotations_without_any_mask(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none of the 1 has one \(boxes alone"):
        read_coco(write(tmp_path, one_image([])))


def test_what_refers_to_nothing_is_counted(tmp_path: Path) -> None:
    content = one_image([SQUARE])
    content["annotations"] += [
        {"id": 2, "image_id": 9, "segmentation": [SQUARE]},
        {"id": 3, "image_id": 1, "segmentation": []},
    ]
    assert read_coco(write(tmp_path, content)).notes == (
        "1 annotations are of images that are not listed",
        "1 annotations have no segmentation and are left out",
    )


def test_two_images_of_one_id(tmp_path: Path) -> None:
    content = one_image([SQUARE])
    content["images"].append({**content["images"][0], "file_name": "b.png"})
    with pytest.raises(DatasetError, match="two images have the id 1"):
        read_coco(write(tmp_path, content))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_lets_no_heldout_image_into_training(encoding: str, tmp_path: Path) -> None:
    root = write(tmp_path, one_image([SQUARE], file_name="x/a.png"))
    (root / "heldout.txt").write_bytes("x/a.png\n".encode(encoding))
    assert read_coco(root, "train").images == ()
    assert [image.name for image in read_coco(root, "heldout").images] == ["x/a.png"]


def test_heldout_names_of_nothing(tmp_path: Path) -> None:
    root = write(tmp_path, one_image([SQUARE]))
    (root / "heldout.txt").write_text("b.png\nc.png\n")
    with pytest.raises(DatasetError, match=r"heldout\.txt: not one of its 2 names .* such as 'a.png'"):
        read_coco(root, "train")
    (root / "heldout.txt").write_bytes("ä.png".encode("latin1"))
    with pytest.raises(DatasetError, match="expected text in UTF-8"):
        read_coco(root, "train")


def test_a_photo_that_was_labelled_unturned(tmp_path: Path) -> None:
    root = write(tmp_path, one_image([SQUARE], file_name="a.jpg"))
    exif = Image.Exif()
    exif[0x0112] = 6
    (root / "images").mkdir(exist_ok=True)
    Image.new("RGB", (50, 40)).save(root / "images" / "a.jpg", exif=exif)
    image = read_coco(root).images[0]
    for check in (read_listed, check_listed):
        with pytest.raises(DatasetError, match=r"says 50x40, the file is 40x50.*before its EXIF rotation"):
            check(image)
    Image.new("RGB", (50, 40)).save(root / "images" / "a.jpg")
    assert read_listed(image).size_hw == (40, 50)
    check_listed(image)
    (root / "images" / "a.jpg").unlink()
    with pytest.raises(DatasetError, match="no such file"):
        check_listed(image)
