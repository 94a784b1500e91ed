"""Boundaries that people drew, as BSDS500 keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam.datasets.coco import CocoImage
from fastsam.errors import DatasetError
from fastsam.needed import needed

__all__ = ["boundary_file", "read_boundaries"]


def boundary_file(root: str | Path, image: CocoImage) -> Path:
    """Return where BSDS keeps what its annotators drew on an image.

    Raises:
        DatasetError: it is not there.
    """
    source = Path(root) / "groundTruth_test" / f"{image.path.stem}.mat"
    if not source.is_file():
        raise DatasetError(
            f"dataset {root}: boundaries need the annotators' file {source.relative_to(root)} (BSDS500), "
            "found none; measure without boundaries or on a BSDS folder"
        )
    return source


def read_boundaries(root: str | Path, image: CocoImage) -> list[NDArray[np.bool_]]:
    """Return the (H, W) boundaries that each human annotator of a BSDS image drew.

    Args:
        root: dataset folder with ``groundTruth_test/<image stem>.mat``, as in BSDS500.
        image: one of its images.

    Raises:
        DatasetError: the file is missing or not of BSDS, or its size is not the image's.
        MissingPackageError: scipy is not installed.
    """
    source = boundary_file(root, image)
    with needed("scipy", "read BSDS boundaries"):
        from scipy import io as reader
    try:
        cells = reader.loadmat(source)["groundTruth"].reshape(-1)
        found = [np.asarray(cell["Boundaries"][0, 0]).astype(bool) for cell in cells]
    except Exception as error:  # scipy raises many kinds on damaged files
        raise DatasetError(f"{source}: expected a BSDS500 groundTruth file ({error!r})") from error
    for boundaries in found:
        if boundaries.shape != (image.height, image.width):
            raise DatasetError(
                f"{source}: its boundaries are {boundaries.shape}, "
                f"its image ({image.height}, {image.width}) (H, W)"
            )
    return found
