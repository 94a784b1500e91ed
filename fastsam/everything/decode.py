"""Network outputs -> MaskSet: class-agnostic candidates, NMS, masks left on the grid (numpy, cv2)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError
from fastsam.everything.carried import Carried
from fastsam.everything.cover import filling
from fastsam.everything.grow import grown_boxes
from fastsam.everything.quality import mask_features, mask_scores
from fastsam.everything.regions import region_cells, region_scores, with_regions
from fastsam.masks.letterbox import GridMap, Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.pyramid import Pyramid
from fastsam.masks.stores.grid import GridStore

__all__ = ["decode", "nms"]

FloatArray = NDArray[np.float32]
_MOST_SURE = 1.01  # a score, with what half precision rounds
_MOST_FILLING = 200  # less sure masks that are looked at
_MAX_CANDIDATES = 30_000  # as ultralytics: bounds the NMS of a very low conf


def nms(
    boxes_xyxy: FloatArray, scores: FloatArray, iou_threshold: float, limit: int | None = None
) -> NDArray[np.int64]:
    """Return the rows that survive greedy non-maximum suppression, best score first; ``limit`` at most.

    A box is dropped when its IoU with a better one is above ``iou_threshold``; equal scores keep
    their order.

    >>> nms(np.array([[0, 0, 9, 9], [0, 0, 9, 9]], np.float32), np.array([.5, .9], np.float32), .5).tolist()
    [1]
    """
    if len(boxes_xyxy) == 0:
        return np.zeros(0, np.int64)
    order = np.argsort(-scores, kind="stable")
    ranked = boxes_xyxy[order].astype(np.float64)
    xywh = np.concatenate([ranked[:, :2], ranked[:, 2:] - ranked[:, :2]], axis=1)
    # OpenCV's sort is not stable: hand it strictly falling scores.
    falling = np.linspace(1.0, 0.5, len(ranked), dtype=np.float32)
    tried = len(ranked) if limit is None else 4 * limit
    while True:  # worse boxes never remove better ones: the first few of the best are often enough
        # its stub asks for lists, it takes arrays
        kept = cv2.dnn.NMSBoxes(xywh[:tried], falling[:tried], 0.0, float(iou_threshold))  # type: ignore[arg-type]
        if tried >= len(ranked) or (limit is not None and len(kept) >= limit):
            return order[np.asarray(kept, np.int64).reshape(-1)[:limit]]
        tried *= 4


@lru_cache(maxsize=4)
def _grid_map(letterbox: Letterbox, grid_hw: tuple[int, int]) -> GridMap:
    """Return the map from grid to image; tiles, frames and photos of one size share it."""
    return GridMap(letterbox, grid_hw)


def decode(
    predictions: FloatArray,
    prototypes: FloatArray,
    letterbox: Letterbox,
    config: SegmentConfig,
    carried: Carried | None = None,
    pyramid: Pyramid | None = None,
    photo: FloatArray | None = None,
) -> MaskSet:
    """Turn one image's raw outputs of a YOLO segmentation head into masks on the grid.

    Args:
        predictions: (4 + classes + C, anchors): xywh boxes in the net frame, class probabilities,
            mask coefficients. A mask's confidence is its highest class probability.
        prototypes: (C, grid height, grid width).
        letterbox: how the image lies in the net frame.
        config: thresholds; ``conf`` is the least confidence, or ``fill_conf`` of masks that cover what
            surer ones leave.
        carried: what the network's file says: its calibration, and how far masks may reach beyond boxes.
        pyramid: the feature maps of the pass, which the masks carry along.
        photo: (grid height, grid width, 3) in 0..1, for regions where no mask is.

    Returns:
        The masks, best score first; none is decoded to pixels. The score is the confidence, or
        :func:`fastsam.everything.quality.mask_scores` where there is a calibration and
        ``config.quality`` is set; of a region, :func:`fastsam.everything.regions.region_scores`.
    """
    carried = carried or Carried()
    store, confidences, sure, anchors = _network_masks(predictions, prototypes, letterbox, config)
    if len(store) > sure:
        rows = np.concatenate([np.arange(sure), filling(store, sure)])[: config.max_det]
        store, confidences, anchors = store.take(rows), confidences[rows], anchors[rows]
    classes = predictions.shape[0] - 4 - prototypes.shape[0]
    ids: NDArray[np.int64] | None = None
    if carried.names and len(carried.names) == classes:
        ids = predictions[4 : 4 + classes, anchors].argmax(axis=0).astype(np.int64)
    if carried.box_growth > 0 and config.beyond_boxes:
        store = replace(store, boxes_xyxy=grown_boxes(store, carried.box_growth))
    values = confidences
    if carried.quality is not None and config.quality and len(store):
        expected = carried.quality.predict(mask_features(store, confidences))
        values = mask_scores(confidences, expected, store.boxes_xyxy)
    if config.regions and photo is not None:
        room = min(config.regions, config.max_det - len(store))
        cells, standing = region_cells(store, confidences, photo, room)
        store = with_regions(store, cells)
        values = np.concatenate([values, region_scores(standing)])
        ids = None if ids is None else np.concatenate([ids, np.full(len(standing), -1, np.int64)])
    order = np.argsort(-values, kind="stable")
    if ids is None:
        return MaskSet.from_grid(store.take(order), values[order], pyramid)
    return MaskSet.from_grid(store.take(order), values[order], pyramid, ids[order], carried.names)


def _network_masks(
    predictions: FloatArray, prototypes: FloatArray, letterbox: Letterbox, config: SegmentConfig
) -> tuple[GridStore, FloatArray, int, NDArray[np.int64]]:
    """Return the masks that survive NMS, the surest first; confidences; how many are above ``conf``; anchors.

    More follow only where ``config`` asks for less sure ones, and there is room for them.
    """
    channels = prototypes.shape[0]
    classes = predictions.shape[0] - 4 - channels
    if classes < 1:
        raise CheckpointError(
            f"network output: expected 4 + classes + {channels} rows, got {predictions.shape[0]}; "
            "this is not the output of a YOLO segmentation head"
        )
    scores = predictions[4] if classes == 1 else predictions[4 : 4 + classes].max(axis=0)
    chosen = np.flatnonzero(scores > min(config.conf, config.fill_conf))
    if len(chosen) and not scores[chosen].max() <= _MOST_SURE:
        raise CheckpointError(
            f"network output: expected scores of 0 to 1, got {scores[chosen].max():.4g}; this is not the "
            "raw output of a YOLO segmentation head (exports with end-to-end detection or NMS give another)"
        )
    if len(chosen) > _MAX_CANDIDATES:
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")[:_MAX_CANDIDATES]]
    centre, half = predictions[:2, chosen].T, predictions[2:4, chosen].T / 2
    boxes_net = np.concatenate([centre - half, centre + half], axis=1)
    # Less sure boxes never remove surer ones: those above ``conf`` are the same, whatever comes after them.
    more = _MOST_FILLING if config.fill_conf < config.conf else 0
    kept = nms(boxes_net, scores[chosen], config.iou, config.max_det + more)
    sure = min(int(np.count_nonzero(scores[chosen[kept]] > config.conf)), config.max_det)
    kept = kept if sure < config.max_det else kept[:sure]
    store = GridStore(
        coefficients=np.ascontiguousarray(predictions[4 + classes :, chosen[kept]].T),
        prototypes=prototypes,
        boxes_xyxy=letterbox.boxes_to_image(boxes_net[kept]),
        grid=_grid_map(letterbox, (prototypes.shape[1], prototypes.shape[2])),
    )
    return store, scores[chosen[kept]], sure, chosen[kept]
