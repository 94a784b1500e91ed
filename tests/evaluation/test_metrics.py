"""Recall and precision against known answers and COCO's own run over all images at once."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fastsam.config import EvalConfig
from fastsam.errors import ConfigError, InputError, RecordError
from fastsam.evaluation.metrics import (
    AREAS,
    ImageMatches,
    best_ious,
    match_image,
    mean,
    recall_and_precision,
    score_correlation,
)
from fastsam.evaluation.prompting import (
    jittered_box,
    mask_iou,
    next_click,
    prompt_objects,
)
from fastsam.masks.dense import box_from_mask, iou_matrix
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import Rle, encode_rle

SIZE = (200, 240)


def rect(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def rles(*masks: np.ndarray) -> list[Rle]:
    return [encode_rle(mask) for mask in masks]


def matches(
    found: list[np.ndarray],
    scores: Any,
    objects: list[np.ndarray],
    crowds: Sequence[np.ndarray] = (),
    kind: Literal["mask", "box"] = "mask",
) -> ImageMatches:
    boxes = np.array([box_from_mask(mask) for mask in found]).reshape(-1, 4)
    given = (rles(*found), boxes, np.array(scores), rles(*objects))
    return match_image(*given, kind=kind, crowds=rles(*crowds))[0]


A, B = rect(10, 10, 110, 110), rect(120, 10, 220, 110)
HALF_OF_A = rect(10, 10, 72, 110)  # IoU .62: found at .50, .55 and .60
TINY = rect(200, 150, 210, 160)


@pytest.mark.parametrize(
    ("found", "scores", "objects", "wanted"),
    [
        pytest.param([A, B], [0.9, 0.8], [A, B], {"AR@10": 1.0, "AP": 1.0}, id="all"),
        pytest.param([A], [0.9], [A, B], {"AR@10": 0.5, "AR@1000": 0.5}, id="one of two"),
        pytest.param([HALF_OF_A], [0.9], [A], {"AR@10": 0.3, "AR@1000_large": 0.3}, id="loose"),
        pytest.param([A, A], [0.9, 0.8], [A, B], {"AR@10": 0.5}, id="a duplicate finds nothing new"),
        pytest.param([B, A], [0.9, 0.8], [A], {"AR@10": 1.0, "AP": 0.5}, id="wrong one first"),
        pytest.param([], [], [A], {"AR@10": 0.0, "AP": 0.0}, id="no detections"),
        pytest.param([A], [0.9], [], {"AR@10": None, "AP": None}, id="no objects"),
        pytest.param([], [], [], {"AR@10": None, "AP": None}, id="nothing at all"),
        pytest.param(
            [A, TINY], [0.9, 0.8], [A, TINY],
            {"AR@1000_small": 1.0, "AR@1000_medium": None, "AR@1000_large": 1.0},
            id="sizes",
        ),
        pytest.param([TINY] * 10 + [A], [0.9] * 10 + [0.1], [A], {"AR@10": 0, "AR@100": 1}, id="eleventh"),
    ],
)  # fmt: skip
def test_known_answers(
    found: list[np.ndarray], scores: list[float], objects: list[np.ndarray], wanted: dict[str, float | None]
) -> None:
    results = recall_and_precision([matches(found, scores, objects)])
    for name, value in wanted.items():
        assert results[name] == (None if value is None else pytest.approx(value, abs=1e-9)), name


def test_masks_of_a_crowd_count_neither_way() -> None:
    """Two objects are found; six surer masks lie in a region whose objects nobody counted."""
    crowd = rect(10, 115, 230, 195)
    members = [rect(20 + 30 * k, 130, 40 + 30 * k, 160) for k in range(6)]
    found, scores = [*members, A, B], [0.95, 0.94, 0.93, 0.92, 0.91, 0.9, 0.8, 0.7]
    assert recall_and_precision([matches(found, scores, [A, B])])["AP"] == pytest.approx(0.25, abs=0.01)
    ignored = recall_and_precision([matches(found, scores, [A, B], [crowd])])
    assert (ignored["AP"], ignored["AR@10"]) == (1.0, 1.0)
    assert recall_and_precision([matches(members, scores[:6], [], [crowd])])["AP"] is None
    assert recall_and_precision([matches([], [], [A], [crowd])])["AR@10"] == 0.0


def test_no_images() -> None:
    assert set(recall_and_precision([]).values()) == {None}


def test_boxes_are_matched_by_boxes() -> None:
    """A diagonal has the box of the whole square, but few of its pixels."""
    square = np.ones((100, 100), bool)
    diagonal = np.eye(100, dtype=bool)
    boxes = np.array([[0, 0, 100, 100]], np.float32)
    one = ("all",)
    box, box_ious = match_image(rles(diagonal), boxes, np.ones(1), rles(square), kind="box", areas=one)
    mask, mask_ious = match_image(rles(diagonal), boxes, np.ones(1), rles(square), areas=one)
    assert recall_and_precision([box], one)["AR@10"] == 1.0
    assert recall_and_precision([mask], one)["AR@10"] == 0.0
    assert box_ious[0, 0] == 1.0
    assert mask_ious[0, 0] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("scores", "boxes", "message"),
    [([0.1, 0.9], (2, 4), "rise"), ([0.9], (2, 4), "as many masks"), ([0.9, 0.1], (1, 4), "as many masks")],
)
def test_misfits(scores: list[float], boxes: tuple[int, int], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        match_image(rles(A, B), np.zeros(boxes), np.array(scores), rles(A))


Image = tuple[list[np.ndarray], np.ndarray, list[np.ndarray], list[np.ndarray]]


def random_image(rng: np.random.Generator, most_crowds: int = 0) -> Image:
    """Objects of all sizes, detections near them and elsewhere, crowds; sometimes none of any."""

    def box() -> np.ndarray:
        side = int(rng.choice([12, 50, 130]))
        x, y = rng.integers(0, SIZE[1] - side), rng.integers(0, SIZE[0] - side)
        return rect(x, y, x + side, y + side)

    objects = [box() for _ in range(rng.integers(0, 6))]
    found = [np.roll(o, tuple(rng.integers(-5, 6, 2)), (0, 1)) for o in objects for _ in range(2)]
    found += [box() for _ in range(rng.integers(0, 25))]
    scores = -np.sort(-np.round(rng.random(len(found)), 2))  # rounded: ties occur
    crowds = [rect(20, 20, 200, 120), rect(100, 80, 240, 200)][: rng.integers(0, most_crowds + 1)]
    return found, scores, objects, crowds


def whole_coco(images: list[Any], kind: str = "segm") -> dict[str, float]:
    """What COCOeval says when it is given all images in one go."""
    truth, detections = [], []
    for number, (found, scores, objects, crowds) in enumerate(images, 1):
        for mask, crowd in [(mask, 0) for mask in objects] + [(mask, 1) for mask in crowds]:
            box = box_from_mask(mask)
            truth.append(
                {"id": len(truth) + 1, "image_id": number, "category_id": 1, "iscrowd": crowd,
                 "segmentation": encode_rle(mask), "area": int(mask.sum()),
                 "bbox": [float(v) for v in (*box[:2], *(box[2:] - box[:2]))]}
            )  # fmt: skip
        for mask, score in zip(found, scores, strict=True):
            detections.append(
                {
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": encode_rle(mask),
                    "score": float(score),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": n + 1, "height": SIZE[0], "width": SIZE[1]} for n in range(len(images))],
            "categories": [{"id": 1, "name": "object"}],
            "annotations": truth,
        }
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(detections), kind)
        run.params.useCats = 0
        run.params.maxDets = [10, 100, 1000]
        run.evaluate()
        run.accumulate()
    results = {}
    for a, area in enumerate(run.params.areaRngLbl):
        for m, count in enumerate(run.params.maxDets):
            name = f"AR@{count}" + ("" if area == "all" else f"_{area}")
            results[name] = run.eval["recall"][:, 0, a, m].mean()
    results["AP"] = run.eval["precision"][:, :, 0, 0, -1].mean()
    return results


@pytest.mark.parametrize("kind", ["mask", "box"])
@pytest.mark.parametrize("crowds", [0, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pooled_images_equal_one_coco_run(seed: int, crowds: int, kind: Literal["mask", "box"]) -> None:
    rng = np.random.default_rng(seed)
    images = [random_image(rng, crowds) for _ in range(8)]
    pooled = recall_and_precision([matches(*image, kind=kind) for image in images])
    expected = whole_coco(images, "segm" if kind == "mask" else "bbox")
    if crowds:
        assert any(len(crowd) for *_, crowd in images)
        dropped = recall_and_precision([matches(*image[:3], kind=kind) for image in images])
        assert dropped["AP"] != pooled["AP"]
    assert set(pooled) == set(expected)
    assert pooled == pytest.approx(expected, abs=1e-12)
    assert 0 < pooled["AP"] < 1  # the comparison is about something


def test_matches_survive_arrays() -> None:
    one = matches([A, TINY], [0.9, 0.8], [A, B])
    again = ImageMatches.from_arrays(one.arrays())
    assert recall_and_precision([again]) == recall_and_precision([one])
    assert one.objects.shape == (len(AREAS), 2)


def test_best_ious() -> None:
    found, objects = np.stack([A, HALF_OF_A, TINY]), np.stack([A, B])
    assert best_ious(iou_matrix(found, objects).astype(np.float64)).tolist() == [1.0, 0.0]
    assert best_ious(np.zeros((0, 2))).tolist() == [0.0, 0.0]
    assert best_ious(np.zeros((3, 0))).shape == (0,)


def test_correlation_leaves_out_what_is_unknown() -> None:
    known = score_correlation(np.array([0.1, 0.2, 0.9]), np.array([0.5, 0.3, 0.4]))
    given = score_correlation(np.array([0.1, 0.7, 0.2, 0.9]), np.array([0.5, np.nan, 0.3, 0.4]))
    assert given == known


def test_mean_of_nothing() -> None:
    assert mean(np.array([np.nan, np.nan])) is None


# --- prompts -------------------------------------------------------------------------------------


def test_mask_iou() -> None:
    assert mask_iou(A, A) == 1.0
    assert mask_iou(HALF_OF_A, A) == pytest.approx(0.62)
    assert mask_iou(A & B, B & A) == 0.0
    with pytest.raises(InputError, match="one image size"):
        mask_iou(A, A[1:])


def test_jitter_is_bounded_seeded_and_inside() -> None:
    box = np.array([0, 40, 100, 60], np.float32)
    boxes = np.array([jittered_box(box, SIZE, 0.1, (0, k)) for k in range(200)])
    assert (np.abs(boxes - box) <= [10, 2, 10, 2]).all()
    assert (boxes[:, 0] >= 0).all()
    assert (np.abs(boxes - box).max(axis=0) > [8, 1.6, 8, 1.6]).all()  # it does move
    assert (jittered_box(box, SIZE, 0.1, (0, 7)) == boxes[7]).all()


def prompted(found: list[np.ndarray], objects: list[np.ndarray], **options: Any) -> Any:
    masks = MaskSet.from_dense(np.stack(found)) if found else MaskSet.none(SIZE)
    truths = np.stack(objects) if objects else np.zeros((0, *SIZE), bool)
    ious = iou_matrix(np.asarray(masks), truths).astype(np.float64)
    return prompt_objects(masks, objects, ious, EvalConfig(**options))


def test_prompts_find_what_is_there() -> None:
    figures = prompted([A, B, TINY], [A, B])
    assert figures.ious.tolist() == [[1.0, 1.0]] * 4
    assert figures.prompt_ms > 0


def test_three_answers_are_at_least_as_good_as_one() -> None:
    whole = rect(0, 0, 240, 200)
    figures = prompted([whole, A, rect(30, 30, 90, 90)], [whole, A, rect(30, 30, 90, 90)])
    point, best3 = figures.ious[0], figures.ious[1]
    assert (best3 >= point).all()
    assert best3[1:].tolist() == [1.0, 1.0]
    assert point.min() < 1  # one click cannot mean all three


def test_nothing_found_scores_zero_and_small_objects_are_left_out() -> None:
    figures = prompted([], [A, TINY], min_area_px=101)
    assert figures.ious[:, 0].tolist() == [0.0] * 4
    assert np.isnan(figures.ious[:, 1]).all()
    none = prompted([A], [])
    assert none.ious.shape == (4, 0)
    assert np.isnan(none.prompt_ms)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        pytest.param(np.zeros(SIZE, bool), (60, 60, 1), id="missed: inside the object"),
        pytest.param(A, None, id="nothing wrong"),
        pytest.param(A | B, (170, 60, 0), id="too much: on the surplus"),
        pytest.param(HALF_OF_A | TINY, (91, 40, 1), id="the larger error first"),
    ],
)
def test_next_click(answer: np.ndarray, wanted: tuple[int, int, int] | None) -> None:
    click = next_click(answer, A, np.zeros(SIZE, bool))
    if wanted is None:
        assert click is None
        return
    assert click is not None
    assert click[2] == wanted[2]
    error = (A & ~answer) if wanted[2] else (answer & ~A)
    assert error[click[1], click[0]]
    assert np.hypot(click[0] - wanted[0], click[1] - wanted[1]) < 20
    again = np.zeros(SIZE, bool)
    again[click[1], click[0]] = True
    assert next_click(answer, A, again) != click


# --- one network pass for both uses ---------------------------------------------------------------


def random_outputs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Raw outputs of a YOLO segmentation head with clustered, overlapping boxes."""
    rng = np.random.default_rng(seed)
    centres, spread = rng.uniform(20, 140, (30, 2)), rng.normal(0, 2, (600, 2))
    xy = centres[rng.integers(0, 30, 600)] + spread
    wh = rng.uniform(28, 32, (600, 2))
    scores = rng.beta(0.5, 3, (600, 1))
    rows = np.concatenate([xy, wh, scores, rng.normal(size=(600, 4))], axis=1)
    return rows.T.astype(np.float32), rng.normal(size=(4, 40, 40)).astype(np.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conf": 0.2}, "select_conf: expected at least conf"),
        ({"jitter": 0.5}, "jitter"),
        ({"boundary_thresholds": 1}, "boundary_thresholds"),
        ({"imgsz": "640"}, "imgsz"),
    ],
)
def test_impossible_protocols(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvalConfig(**options)
