"""One shape of a mask for the command, the page, searches and videos."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fastsam import FastSAM, Points, Tracked
from fastsam.jobs.images import BatchDone
from fastsam.masks.rle import decode_rle
from fastsam.page.photo.api import facts_of
from fastsam.search.index import Hit
from fastsam.search.results import hit_record
from fastsam.testing import FixedSegmenter
from fastsam.video.write.spool import SpooledFrame

SHARED = ["label", "score", "mask_score", "box_xyxy", "area_px", "segmentation"]


def records() -> dict[str, dict[str, Any]]:
    """Return the same mask as each of them writes it."""
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 5:15, 3:20] = True
    session = FastSAM(segmenter=FixedSegmenter(mask, [0.8])).open(np.zeros((20, 30, 3), np.uint8))
    found = session.select(Points((10, 10)))
    hit = Hit("/a.jpg", 0, float(found.scores[0]), (3, 5, 20, 15), 0.8, found.rle)
    tracked = Tracked(found.frame, found.masks, np.array([7]), found.scores)
    return {
        "command": BatchDone("a.jpg", found).record()["masks"][0],
        "page": facts_of(found)["masks"][0],
        "search": hit_record(hit),
        "video": json.loads(SpooledFrame.from_tracked(tracked).line())["objects"][0],
        "result": found.to_dict()["masks"][0],
        "tracked": tracked.to_dict()["masks"][0],
    }


def test_all_say_the_same_of_a_mask() -> None:
    found = records()
    for name, one in found.items():
        assert [key for key in one if key in SHARED] == SHARED, name
        assert one["box_xyxy"] == [3, 5, 20, 15], name
        assert (one["area_px"], one["label"]) == (170, ""), name
        assert one["mask_score"] == 0.8, name
        assert round(one["score"], 4) == round(found["result"]["score"], 4) != 0.8, name
        assert decode_rle(one["segmentation"]).sum() == 170, name


def test_what_tells_a_mask_from_others() -> None:
    found = records()
    assert {name: sorted(set(one) - set(SHARED)) for name, one in found.items()} == {
        "command": ["group", "level", "row"],
        "page": ["group", "level", "row"],
        "search": ["file", "group", "row"],
        "video": ["id"],
        "result": ["group", "level", "row"],
        "tracked": ["id"],
    }


def test_the_page_tells_no_path() -> None:
    session = FastSAM(segmenter=FixedSegmenter(np.ones((1, 2, 2), bool))).open(np.zeros((2, 2, 3), np.uint8))
    assert set(facts_of(session.everything())) == {"width", "height", "masks", "reason"}
