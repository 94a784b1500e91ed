"""Stage one in parts: tiles on a fixed grid, or SAM's layers of crops, beside the whole image.

Each view goes through the network by itself, at the network's own input size; :mod:`fastsam.everything.seams`
makes one set of what they found. Two things follow from the grid of tiles. What is smaller than the
overlap lies whole in some tile. And a tile shows the same pixels whatever else of a picture is segmented with
it, so that its masks do not depend on that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.everything.network_input import PADDING_GREY
from fastsam.everything.seams import NetworkView, Pieces, distinct, join_halves, margin_px
from fastsam.images.frame import Frame
from fastsam.masks.crop import Crop
from fastsam.masks.letterbox import GridMap
from fastsam.masks.maskset import MaskSet
from fastsam.masks.region import Region
from fastsam.masks.stores.crops import CropStore
from fastsam.masks.stores.joined import JoinedStore
from fastsam.masks.stores.logits import LogitStore
from fastsam.masks.stores.store import MaskStore
from fastsam.segmenter import Part, Segmentation, Segmenter, as_segmenter, segmented

__all__ = ["TiledSegmenter", "crop_views", "tile_views", "views_of"]

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
OnTile = Callable[[int, int], None]
_NEAR_TILES = 4  # up to this length in tiles, the whole image is not scaled down much more than a tile


def tile_views(
    size_hw: tuple[int, int], side: int, overlap: float, origin_xy: tuple[int, int] = (0, 0)
) -> list[NetworkView]:
    """Return the tiles of an image; none where a single one would show it all.

    Tiles are squares ``side - overlap`` apart, on a grid through the corner of the picture that the image was
    cut from. Those at the image's edges reach beyond it; there is none that shows only what its neighbour
    shows, too.

    >>> [view.xyxy for view in tile_views((100, 230), 100, 0.2)]
    [(0, 0, 100, 100), (80, 0, 180, 100), (160, 0, 260, 100)]
    """
    if max(size_hw) <= side:
        return []
    step = max(side - round(side * overlap), 1)

    def starts(length: int, origin: int) -> list[int]:
        first = -(origin % step)
        return list(range(first, max(length - (side - step), first + 1), step))

    return [
        NetworkView(x, y, x + side, y + side, 1)
        for y in starts(size_hw[0], origin_xy[1])
        for x in starts(size_hw[1], origin_xy[0])
    ]


def crop_views(size_hw: tuple[int, int], layers: int, overlap: float) -> list[NetworkView]:
    """Return the crops of SAM's ``crop_n_layers``: 2x2 of them, then 4x4, ...; as SAM cuts them.

    >>> [view.xyxy for view in crop_views((100, 150), 1, 0.2)]
    [(0, 0, 85, 60), (0, 40, 85, 100), (65, 0, 150, 60), (65, 40, 150, 100)]
    """
    height, width = size_hw
    views = []
    for layer in range(1, layers + 1):
        count = 2**layer
        shared = int(overlap * min(size_hw) * 2 / count)
        w, h = (math.ceil((shared * (count - 1) + side) / count) for side in (width, height))
        views += [
            NetworkView(x, y, min(x + w, width), min(y + h, height), 1 + layer)
            for x in (k * (w - shared) for k in range(count))
            for y in (k * (h - shared) for k in range(count))
            if x < width and y < height
        ]
    return views


def views_of(frame: Frame, config: SegmentConfig) -> list[NetworkView]:
    """Return what the network is shown of a frame; the whole image alone where no parts are asked for."""
    height, width = frame.size_hw
    tiles = (
        tile_views(frame.size_hw, config.tile, config.tile_overlap, frame.origin_xy) if config.tile else []
    )
    parts = tiles + crop_views(frame.size_hw, config.crop_layers, config.crop_overlap)
    whole = [NetworkView(0, 0, width, height, 0)] if config.tile_whole or len(parts) == 0 else []
    return whole + parts


class TiledSegmenter(Segmenter):
    """A segmenter that shows another one an image in parts, where the options ask for it.

    Args:
        inner: finds the masks of each part, and of the whole image: a segmenter, or an object with
            ``segment(frame, config)``.
        on_tile: called with (done, total) after each part.
    """

    def __init__(self, inner: Any, on_tile: OnTile | None = None) -> None:
        self.inner = as_segmenter(inner)
        self.on_tile = on_tile

    def segment(self, frame: Frame, config: SegmentConfig, part: Part | None = None) -> Segmentation:
        """Return the masks of a frame, best score first; times are over all parts, and ``join``.

        They are those that the parts found whole, smaller parts first, then what was joined across seams,
        then what only the pass over the whole image found. Of an image of more than four tiles' length, that
        pass gives only what is too large to lie whole in some tile for certain: the scale at which it sees
        small things depends on the extent. ``max_det`` counts for each part.
        With a ``part`` to look at there are no tiles.
        """
        views = views_of(frame, config)
        if len(views) == 1 or part is not None:
            return segmented(self.inner, frame, config, part)
        seen: list[_Seen] = []
        times_ms: dict[str, float] = {}
        for number, view in enumerate(views):
            whole = view.layer == 0
            # What covers the gaps of one part would end at its edges.
            wanted = config if whole else replace(config, fill_conf=1.0, regions=0)
            masks = segmented(self.inner, frame if whole else _shown(frame, view), wanted)
            for name, value in masks.times_ms.items():
                times_ms[name] = times_ms.get(name, 0.0) + value
            if whole:
                plain = masks.masks
                seen.append(
                    _Seen(plain.store, plain.boxes_xyxy, plain.scores, _ids(plain), plain.names, plain)
                )
            else:
                seen.append(_placed(masks, view, frame.size_hw))
            if self.on_tile is not None:
                self.on_tile(number + 1, len(views))
        start = time.perf_counter()
        joined = _joined(frame, views, seen, config)
        times_ms["join"] = 1e3 * (time.perf_counter() - start)
        return Segmentation.of(joined, times_ms)


@dataclass(frozen=True, eq=False)
class _Seen:
    """The masks of one view, frame of the image."""

    store: MaskStore
    boxes_xyxy: FloatArray
    scores: FloatArray
    class_ids: IntArray
    names: tuple[str, ...] = ()
    masks: MaskSet | None = None  # of the whole image, as the inner segmenter gave them


def _shown(frame: Frame, view: NetworkView) -> Frame:
    """Return the pixels of a view; grey where it leaves the image, so that all tiles are of one size."""
    x0, y0, x1, y1 = view.inside(frame.size_hw)
    part = frame.rgb[y0:y1, x0:x1]
    if (x0, y0, x1, y1) != view.xyxy:
        padded = np.full((view.y1 - view.y0, view.x1 - view.x0, 3), PADDING_GREY, np.uint8)
        padded[y0 - view.y0 : y1 - view.y0, x0 - view.x0 : x1 - view.x0] = part
        part = padded
    return Frame(part, f"{frame.name} at {x0},{y0}", frame.source, frame.index, frame.t_ms)


def _placed(masks: MaskSet, view: NetworkView, size_hw: tuple[int, int]) -> _Seen:
    """Return the masks of a view where they lie in the image; what lies beyond its edges is cut off."""
    shift = np.array([view.x0, view.y0, view.x0, view.y0], np.float32)
    x0, y0, x1, y1 = view.inside(size_hw)
    low, high = np.array([x0, y0, x0, y0], np.float32), np.array([x1, y1, x1, y1], np.float32)
    boxes = np.clip(masks.boxes_xyxy + shift, low, high)
    rows = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    kept = masks[rows]
    inside = Region(x0 - view.x0, y0 - view.y0, x1 - view.x0, y1 - view.y0)
    store: MaskStore
    on_grid = kept.store.on_grid
    if on_grid is not None:
        store = LogitStore.from_grid(on_grid, (view.x0, view.y0), inside)
    else:
        cell_px = float(kept.store.cells_px.max(initial=1.0))
        store = CropStore.from_crops(_moved(kept, view, inside), size_hw, cell_px)
    return _Seen(store, boxes[rows], kept.scores, _ids(kept), kept.names)


def _ids(masks: MaskSet) -> IntArray:
    """Return (N,) the classes of masks; -1 where they have none."""
    return np.full(len(masks), -1, np.int64) if masks.class_ids is None else masks.class_ids


def _moved(masks: MaskSet, view: NetworkView, inside: Region) -> Iterator[Crop]:
    """Yield the pixels of a view's masks in the frame of the image, cut to the image."""
    for i in range(len(masks)):
        part = masks.crop(i).within(inside.x0, inside.y0, inside.x1, inside.y1)
        yield Crop(part.x0 + view.x0, part.y0 + view.y0, part.patch)


# --- one set of all ---------------------------------------------------------------------------------


def _joined(frame: Frame, views: list[NetworkView], found: list[_Seen], config: SegmentConfig) -> MaskSet:
    """Return one set of what all views found."""
    pieces = _pieces(frame.size_hw, views, found, config)
    pieces, kind = _with_joined(pieces)
    usable = ~pieces.cut.any(axis=1) & (pieces.areas_px > 0)
    # What a part shows whole comes first, then what was joined; of parts finer ones, then that which has the
    # mask nearer to its middle: it knows more of what is around, and where the middle lies does not depend on
    # the rest of the picture.
    rank = np.lexsort((pieces.off_centre(), pieces.view_px(), kind))
    rows = distinct(
        pieces.store,
        pieces.boxes_xyxy,
        pieces.areas_px,
        pieces.of_view,
        rank[usable[rank]],
        config.tile_iou,
    )
    rows = rows[np.argsort(-pieces.scores[rows], kind="stable")]
    names = next((seen.names for seen in found if seen.names), ())
    joined = MaskSet(
        frame.size_hw,
        pieces.boxes_xyxy[rows],
        pieces.scores[rows],
        pieces.store.take(rows),
        class_ids=pieces.class_ids[rows] if names else None,
        names=names,
    )
    whole = found[0].masks
    # With the feature maps of the pass over the whole image.
    return joined if whole is None else replace(joined, pyramid=whole.pyramid)


def _pieces(
    size_hw: tuple[int, int], views: list[NetworkView], found: list[_Seen], config: SegmentConfig
) -> Pieces:
    """Return the masks of all views in one record; of the whole of a huge image only the large ones."""
    counts = [len(seen.scores) for seen in found]
    of_view = np.repeat(np.arange(len(views), dtype=np.int64), counts)
    inside = np.array([view.inside(size_hw) for view in views], np.int64)
    store, order = _one_store([seen.store for seen in found], inside[of_view])
    boxes = np.concatenate([seen.boxes_xyxy for seen in found])[order]
    scores = np.concatenate([seen.scores for seen in found])[order]
    of_view = of_view[order]
    keep = np.ones(len(order), bool)
    if config.tile and max(size_hw) > _NEAR_TILES * config.tile:
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0)
        layers = np.array([view.layer for view in views])[of_view]
        keep = (layers > 0) | (sides > _held_px(config))
    rows = np.flatnonzero(keep)
    store = store.take(rows)
    areas = np.array([np.count_nonzero(store.crop(i).patch) for i in range(len(rows))], np.int64)
    ids = np.concatenate([seen.class_ids for seen in found])[order][rows]
    return Pieces(size_hw, store, boxes[rows], scores[rows], areas, of_view[rows], tuple(views), ids)


def _held_px(config: SegmentConfig) -> int:
    """Return the longer side up to which anything lies in some tile without coming to its edges."""
    return round(config.tile * config.tile_overlap) - 2 * margin_px(config.tile)


def _one_store(stores: list[MaskStore], found_in: IntArray) -> tuple[JoinedStore, IntArray]:
    """Return the masks of all stores, those of tiles of one size in one store; and their former rows."""
    grids: dict[GridMap, list[int]] = {}
    groups: list[list[int]] = []
    for number, store in enumerate(stores):
        if isinstance(store, LogitStore):
            if store.grid not in grids:
                grids[store.grid] = []
                groups.append(grids[store.grid])
            grids[store.grid].append(number)
        else:
            groups.append([number])
    starts = np.cumsum([0, *(len(store) for store in stores)])
    parts: list[MaskStore] = []
    order: list[IntArray] = []
    for group in groups:
        same = [store for store in (stores[n] for n in group) if isinstance(store, LogitStore)]
        parts.append(LogitStore.joined(same) if same else stores[group[0]])
        order += [np.arange(starts[n], starts[n + 1]) for n in group]
    rows = np.concatenate(order).astype(np.int64)
    return JoinedStore.join(parts, found_in[rows]), rows


def _with_joined(pieces: Pieces) -> tuple[Pieces, IntArray]:
    """Return the pieces and what was joined of them; (N,) 0 for a part's, 1 for joined, 2 for the whole's."""
    size_hw = pieces.size_hw
    stores, boxes, scores, areas, ids = [], [], [], [], []
    cells_px = pieces.store.cells_px
    for crop, score, rows in join_halves(pieces):
        stores.append(CropStore.from_crops([crop], size_hw, float(cells_px[rows].max())))
        boxes.append(stores[-1].windows)
        scores.append(score)
        areas.append(np.count_nonzero(crop.patch))
        ids.append(pieces.class_ids[rows[np.argmax(pieces.areas_px[rows])]])
    layers = np.array([view.layer for view in pieces.views], np.int64)
    kind = np.where(layers[pieces.of_view] > 0, 0, 2)
    if not stores:
        return pieces, kind
    count = len(stores)
    # Each counts as a view of its own, so that it is compared with everything.
    everywhere = NetworkView(0, 0, size_hw[1], size_hw[0], 0)
    joined = Pieces(
        size_hw,
        JoinedStore.join(
            [pieces.store, *stores],
            np.concatenate([pieces.store.found_in, np.tile(np.array(everywhere.xyxy, np.int64), (count, 1))]),
        ),
        np.concatenate([pieces.boxes_xyxy, *(box.astype(np.float32) for box in boxes)]),
        np.concatenate([pieces.scores, np.array(scores, np.float32)]),
        np.concatenate([pieces.areas_px, np.array(areas, np.int64)]),
        np.concatenate([pieces.of_view, len(pieces.views) + np.arange(count, dtype=np.int64)]),
        (*pieces.views, *([everywhere] * count)),
        np.concatenate([pieces.class_ids, np.array(ids, np.int64)]),
    )
    return joined, np.concatenate([kind, np.ones(count, np.int64)])
