"""Masks that a model is sure of join a dataset's labels: annotate, train, annotate.

``annotate -> train -> annotate``: the written folder is a COCO-format dataset that ``fastsam train`` and
``fastsam eval`` read. What people drew is kept as it is; a mask joins only where it passes the gate
(confident, stable, large enough, and no object that is labelled already), and says so:
``"source": "model"`` with its ``"score"``. Held-out images keep exactly their own annotations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam.config import AnnotateConfig, SegmentConfig
from fastsam.datasets import CocoImage, heldout_names, read_coco
from fastsam.errors import DatasetError
from fastsam.files import file_sha256, fingerprint, write_bytes
from fastsam.images.listing import list_images
from fastsam.images.reading import read_frame
from fastsam.masks.rle import Rle, rle_iou_matrix
from fastsam.resume import ResumeLog

if TYPE_CHECKING:
    from fastsam.masks.maskset import MaskSet
    from fastsam.segmenter import Segmenter

__all__ = ["annotate", "new_objects"]

_LOG = ".annotated.jsonl"
_SUPERCATEGORY = "found by a model"


def new_objects(masks: MaskSet, labelled: Sequence[Rle], config: AnnotateConfig) -> NDArray[np.int64]:
    """Return the rows of ``masks`` that pass the gate, best score first.

    A mask is taken when its score, stability and area reach the config's limits and its IoU with every
    label, and with every mask taken before it, stays below ``same_iou``.

    >>> from fastsam.masks.maskset import MaskSet
    >>> square = np.zeros((2, 9, 9), bool); square[:, 1:8, 1:8] = True
    >>> new_objects(MaskSet.from_dense(square), [], AnnotateConfig(min_area_px=9)).tolist()
    [0]
    """
    rows = np.flatnonzero((masks.scores >= config.conf) & (masks.areas_px >= config.min_area_px))
    rows = rows[np.argsort(-masks.scores[rows], kind="stable")]
    rows = rows[masks[rows].stability_scores() >= config.stability] if rows.size else rows
    found = [masks.rle(int(i)) for i in rows]
    known = (
        rle_iou_matrix(found, list(labelled)).max(axis=1, initial=0.0) if found else np.zeros(0, np.float64)
    )
    mutual = rle_iou_matrix(found, found) if found else np.zeros((0, 0))
    taken: list[int] = []
    for k in range(len(rows)):
        if known[k] < config.same_iou and (not taken or mutual[k, taken].max() < config.same_iou):
            taken.append(k)
    return np.asarray(rows[taken], np.int64)


def annotate(
    data: str | Path,
    model: Segmenter,
    out: str | Path,
    config: AnnotateConfig | None = None,
    *,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write a copy of a dataset in which a model has labelled what was not labelled.

    Args:
        data: a COCO-format folder, or a folder with ``images/`` alone (nothing labelled yet). A
            ``heldout.txt`` in it is copied, and the images it lists get no new labels.
        model: stage one.
        out: folder for ``instances.json``, ``heldout.txt`` and links to the images. An interrupted run
            goes on where it stopped; other settings, weights or labels start anew.
        config: the gate.
        on_progress: called after each image with (done, total, name).

    Returns:
        ``out``.

    Raises:
        DatasetError: ``data`` is no dataset, or ``out`` is the same folder.
    """
    config = config or AnnotateConfig()
    root, out = Path(data).resolve(), Path(out).resolve()
    if out == root:
        raise DatasetError(f"annotate: expected an output folder other than the dataset itself, got {out}")
    coco, labelled = _content(root)
    heldout = heldout_names(root)
    training = {image.path.name for image in labelled if image.path.name not in heldout}
    out.mkdir(parents=True, exist_ok=True)
    log = ResumeLog(out / _LOG, _run_fingerprint(model, coco, config))
    done: dict[str, list[dict[str, Any]]] = {entry["name"]: entry["annotations"] for entry in log}
    for number, image in enumerate(labelled):
        name = image.path.name
        if name in training and name not in done:
            done[name] = _annotations(image, model, config)
            log.append({"name": name, "annotations": done[name]})
        if on_progress is not None:
            on_progress(number + 1, len(labelled), name)
    _write(root, out, coco, done)
    return out


def _content(root: Path) -> tuple[dict[str, Any], tuple[CocoImage, ...]]:
    """Return a dataset's COCO mapping and images; a bare ``images/`` folder becomes an unlabelled one."""
    source = root / "instances.json"
    if source.is_file():
        images = read_coco(root).images
        return json.loads(source.read_text(encoding="utf-8")), images
    folder = root / "images"
    if not folder.is_dir():
        raise DatasetError(
            f"dataset {root}: expected instances.json or a folder images/ in it, found neither"
        )
    records, images_found = [], []
    for number, path in enumerate(list_images([str(folder)]), start=1):
        height, width = read_frame(path).size_hw
        records.append({"id": number, "file_name": path.name, "height": height, "width": width})
        images_found.append(CocoImage(path, height, width, ()))
    return {"images": records, "annotations": [], "categories": []}, tuple(images_found)


def _run_fingerprint(model: Segmenter, coco: dict[str, Any], config: AnnotateConfig) -> str:
    """Return a digest of everything that new labels depend on."""
    checkpoint = getattr(model, "checkpoint", None)
    weights = type(model).__name__ if checkpoint is None else file_sha256(Path(checkpoint))
    return fingerprint([weights, coco, asdict(config)])


def _annotations(image: CocoImage, model: Segmenter, config: AnnotateConfig) -> list[dict[str, Any]]:
    """Return the new COCO annotations of one image, without ids."""
    masks = model.segment(
        read_frame(image.path), SegmentConfig(conf=config.conf, iou=config.iou, imgsz=config.imgsz)
    )
    rows = new_objects(masks, image.rles(), config)
    chosen = masks[rows]
    boxes = chosen.tight_boxes()
    return [
        {
            "segmentation": dict(chosen.rle(i)),
            "bbox": [float(v) for v in (*boxes[i, :2], *(boxes[i, 2:] - boxes[i, :2]))],
            "area": int(chosen.areas_px[i]),
            "iscrowd": 0,
            "score": round(float(chosen.scores[i]), 4),
            "source": "model",
        }
        for i in range(len(chosen))
    ]


def _write(root: Path, out: Path, coco: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> None:
    """Write the dataset: old and new annotations, the list of held-out images, links to the pixels."""
    category = 1 + max((int(c["id"]) for c in coco.get("categories", [])), default=0)
    number = 1 + max((int(a["id"]) for a in coco["annotations"]), default=0)
    added = []
    for record in coco["images"]:
        for annotation in found.get(record["file_name"], ()):
            added.append({"id": number, "image_id": record["id"], "category_id": category, **annotation})
            number += 1
    object_category = {"id": category, "name": "object", "supercategory": _SUPERCATEGORY}
    whole = {
        **coco,
        "annotations": [*coco["annotations"], *added],
        "categories": [*coco.get("categories", []), object_category],
    }
    if not (out / "images").exists():
        (out / "images").symlink_to((root / "images").resolve(), target_is_directory=True)
    if (root / "heldout.txt").is_file():
        (out / "heldout.txt").write_bytes((root / "heldout.txt").read_bytes())
    write_bytes(out / "instances.json", json.dumps(whole).encode())
