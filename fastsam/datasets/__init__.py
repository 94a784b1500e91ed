"""Instance-segmentation datasets in COCO format: reading, splitting, annotations to masks; captions.

A dataset is a folder with ``instances.json`` (COCO), ``images/`` and, optionally, ``heldout.txt``:
one image file name a line, never to be trained on. ``captions.json`` maps file names to lists of sentences.
"""

from __future__ import annotations

from fastsam.datasets.boundaries import boundary_file, read_boundaries
from fastsam.datasets.captions import CAPTIONS_NAME, CaptionedImage, read_captions
from fastsam.datasets.checks import check_all, check_listed, check_partial, read_listed
from fastsam.datasets.coco import (
    CocoDataset,
    CocoImage,
    Split,
    check_heldout,
    heldout_names,
    read_coco,
    read_instances,
)
from fastsam.datasets.masks import annotation_mask, annotation_rle, known_ious

__all__ = [
    "CAPTIONS_NAME",
    "CaptionedImage",
    "CocoDataset",
    "CocoImage",
    "Split",
    "annotation_mask",
    "annotation_rle",
    "boundary_file",
    "check_all",
    "check_heldout",
    "check_listed",
    "check_partial",
    "heldout_names",
    "known_ious",
    "read_boundaries",
    "read_captions",
    "read_coco",
    "read_instances",
    "read_listed",
]
