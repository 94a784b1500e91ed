"""Whether the files of a data set are what its lists say; every consumer asks here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from fastsam.datasets.coco import CocoDataset, CocoImage
from fastsam.errors import DatasetError, FastSAMError, ImageError
from fastsam.images.frame import Frame
from fastsam.images.reading import image_size_hw, read_frame

__all__ = ["check_all", "check_listed", "check_partial", "read_listed"]

_TOLD = 3  # images that a message names


def read_listed(image: CocoImage) -> Frame:
    """Read a data set's image, and compare its size with the listed one.

    Raises:
        DatasetError: they differ, so that the annotations would lie elsewhere.
        ImageError: there is no readable image.
    """
    frame = read_frame(image.path)
    _check_size(image, frame.size_hw)
    return frame


def check_listed(image: CocoImage) -> None:
    """Compare an image's size with the listed one by its header alone.

    Raises:
        DatasetError: as :func:`read_listed`; or there is no such file.
        ImageError: it is no image.
    """
    if not os.path.isfile(image.path):
        raise DatasetError(
            "instances.json lists it, but there is no such file",
            subject=f"image {image.path}",
            path=image.path,
        )
    _check_size(image, image_size_hw(image.path))


def check_all(images: Iterable[CocoImage]) -> None:
    """Check every image as :func:`check_listed` does, and name those that cannot be used together.

    Raises:
        DatasetError: how many there are, and what is wrong with the first of them.
    """
    wrong: list[FastSAMError] = []
    count = 0
    for image in images:
        count += 1
        try:
            check_listed(image)
        except (DatasetError, ImageError) as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise DatasetError(str(wrong[0]), path=wrong[0].path) from wrong[0]
    if wrong:
        more = f"; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        told = "; ".join(str(error) for error in wrong[:_TOLD])
        raise DatasetError(f"{len(wrong)} of {count} images cannot be used: {told}{more}", path=wrong[0].path)


def _check_size(image: CocoImage, found_hw: tuple[int, int]) -> None:
    if found_hw == (image.height, image.width):
        return
    turned = found_hw == (image.width, image.height)
    raise DatasetError(
        f"instances.json says {image.width}x{image.height}, the file is {found_hw[1]}x{found_hw[0]}; "
        "its annotations would not fit",
        subject=str(image.path),
        advice="it was labelled before its EXIF rotation: turn its pixels, or list its upright size"
        if turned
        else "",
        path=image.path,
    )


def check_partial(partial: Sequence[str], datasets: Sequence[CocoDataset]) -> None:
    """Raise DatasetError for a name of a partly labelled dataset that is none of the datasets'."""
    unknown = sorted(set(partial) - {dataset.name for dataset in datasets})
    if unknown:
        raise DatasetError(f"partial: {unknown} not among the datasets {[d.name for d in datasets]}")
