"""Evaluation results for people (a table on the terminal) and for programs (JSON)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastsam.errors import InputError
from fastsam.files import write_bytes
from fastsam.needed import needed

__all__ = ["LABELS", "TEXT_LABELS", "VOS_LABELS", "clip_table", "save_json", "table"]

# Figure -> what it is, in the order of the table. Those that no result has are left out.
LABELS: dict[str, str] = {
    "images": "images",
    "instances": "annotated objects",
    "masks_per_image": "masks an image",
    "AR@10": "recall of the 10 best masks, mean over IoU .50:.95",
    "AR@100": "of 100",
    "AR@1000": "of 1000",
    "AR@1000_small": "objects under 32 x 32 px",
    "AR@1000_medium": "up to 96 x 96 px",
    "AR@1000_large": "larger",
    "AP": "average precision, class-agnostic",
    "score_iou_pearson": "correlation of a mask's score with its best IoU",
    "score_iou_spearman": "the same of their ranks",
    "box_AR@10": "recall of boxes, 10 best",
    "box_AR@100": "of 100",
    "box_AR@1000": "of 1000",
    "box_AP": "average precision of boxes",
    "oracle_mIoU": "best mask of each object",
    "selection_oracle_mIoU": "best mask that a prompt can choose",
    "point_mIoU": "answer to one click",
    "point_mIoU_best3": "best of up to three answers to one click",
    "box_mIoU": "answer to the tight box",
    "box_mIoU_jitter": "answer to a jittered box",
    "used_masks_per_image": "the weights' own defaults: masks an image",
    "used_coverage": "pixels under some mask",
    "used_dead_clicks": "clicks on objects where no mask lies",
    "used_straight": "masks with an eighth of the outline on a side of their box",
    "used_unsupported": "masks with such a side where the photo shows no edge",
    "used_point_mIoU": "answer to one click",
    "used_box_mIoU": "answer to the tight box",
    **{
        f"{prefix}{name}": f"{rule}{what}"
        for prefix, rule in (
            ("", ""),
            ("union_", "every mask under clicks joined or erased: "),
            ("chosen_", "masks chosen, joined and cut: "),
            ("grabcut_", "GrabCut: "),
        )
        for name, what in (
            *(
                (f"clicks_mIoU@{count}", f"after {count} click{'s'[: count - 1]}")
                for count in (1, 2, 3, 5, 10)
            ),
            ("noc@85", "clicks until IoU .85"),
            ("noc@90", "clicks until IoU .90"),
            ("noc_failed", "share of objects that never reach .85"),
        )
    },
    "ODS": "boundary F, one threshold for all",
    "OIS": "boundary F, best threshold an image",
    "boundary_AP": "boundary average precision",
    "R50": "boundary recall at 50 % precision",
}
# The same of texts; those that are measured about the true masks and about the masks of stage one.
_ANSWERS = {
    "precision": "answers that are right",
    "recall": "objects that are found",
    "F1": "of the two, all pairs of image and text pooled",
    "macro_precision": "precision, mean over texts",
    "macro_recall": "recall, mean over texts",
    "macro_F1": "F1, mean over texts",
    "AP": "average precision over all thresholds, pooled",
    "macro_AP": "the same, mean over texts",
    "best_F1": "F1 at the threshold that suits this split best",
    "best_threshold": "that threshold",
    "false_alarms": "texts that nothing shows, and that are answered",
}
TEXT_LABELS: dict[str, str] = {
    "texts": "texts asked for",
    "pairs": "pairs of image and text",
    "absent_pairs": "of them: the image shows nothing of it",
    "label_top1": "objects called right",
    "label_top5": "right name among the best five",
    "label_macro_top1": "objects called right, mean over names",
    "label_named": "objects whose name reaches the threshold",
    "label_named_right": "of them: called right",
    **{f"objects_{name}": f"true masks: {what}" for name, what in _ANSWERS.items()},
    "masks_covered": "found masks: objects that one of them fits (IoU .5)",
    **{f"masks_{name}": f"found masks: {what}" for name, what in _ANSWERS.items()},
    "masks_repeated": "found masks: answers that show an answered object again, or uncounted ones",
    "captioned_images": "photos with captions",
    "captions": "captions",
    "photo_to_caption_R@1": "photos whose best caption is one of theirs",
    "photo_to_caption_R@5": "one of the best five",
    "caption_to_photo_R@1": "captions whose best photo is theirs",
    "caption_to_photo_R@5": "one of the best five",
}
VOS_LABELS: dict[str, str] = {
    "clips": "video clips",
    "objects": "objects followed from their first mask",
    "frames": "frames",
    "J&F": "mean of the two below",
    "J_mean": "IoU of the mask and the object (DAVIS)",
    "J_recall": "frames where it is above .5",
    "J_decay": "first quarter less last",
    "F_mean": "F-measure of their contours (DAVIS)",
    "F_recall": "frames where it is above .5",
    "F_decay": "first quarter less last",
    "switches": "times that it goes over to something else",
    "lost_frames": "frames with the object and without a mask",
    "fps": "frames a second, from file to masks",
}
_TIMES = {
    "read": "ms: a frame read from its file",
    "crop": "ms: one mask cut out and encoded",
    "network": "ms: network",
    "decode": "ms: network outputs to masks that answer prompts",
    "pixels": "ms: all masks to full-size pixels",
    "prompt": "ms: one point or box prompt",
    "follow": "ms: which masks are the objects, and their pixels",
    "total": "ms: all of it",
}


_TOLD = 2  # evaluations side by side up to which the table says what its figures are


def table(results: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Any:
    """Return a rich table of one evaluation, or of several side by side.

    Args:
        results: what :func:`fastsam.evaluation.runner.evaluate`,
            :func:`fastsam.evaluation.texts.evaluate_texts` or
            :func:`fastsam.evaluation.vos.evaluate_vos` returned, once or a list.

    Raises:
        InputError: there are no results.
        MissingPackageError: rich is not installed.
    """
    runs = [results] if isinstance(results, Mapping) else list(results)
    if not runs:
        raise InputError("results: expected at least one evaluation, got none")
    rich_table = _new_table("Evaluation")
    rich_table.add_column("figure", no_wrap=True)
    for run in runs:
        rich_table.add_column(_heading(run), justify="right", no_wrap=True)
    with_labels = len(runs) <= _TOLD  # beside more columns there is no room for words
    if with_labels:
        rich_table.add_column("what it is")
    for name, label in (LABELS | TEXT_LABELS | VOS_LABELS).items():
        if any(name in run for run in runs):
            rich_table.add_row(name, *[_number(run.get(name)) for run in runs], *[label][: int(with_labels)])
    for name, label in _TIMES.items():
        if any(name in run.get("time_ms", {}) for run in runs):
            times = [_number(run.get("time_ms", {}).get(name), 1) for run in runs]
            rich_table.add_row(f"time_ms.{name}", *times, *[label][: int(with_labels)])
    return rich_table


def _new_table(title: str) -> Any:
    with needed("rich", "print tables"):
        from rich.table import Table
    return Table(title=title)


def clip_table(results: Sequence[Mapping[str, Any]], figure: str = "J&F") -> Any:
    """Return a rich table of one figure of each clip, a column a method.

    Args:
        results: what :func:`fastsam.evaluation.vos.evaluate_vos` returned, of one folder or several.
        figure: its name.

    Raises:
        InputError: there are no results.
        MissingPackageError: rich is not installed.
    """
    if not results:
        raise InputError("results: expected at least one evaluation, got none")
    rows = _new_table(f"{figure} of each clip")
    rows.add_column("clip", no_wrap=True)
    methods = list(dict.fromkeys(run["method"] for run in results))
    for method in methods:
        rows.add_column(method, justify="right", no_wrap=True)
    for dataset in dict.fromkeys(run["dataset"] for run in results):
        runs = {run["method"]: run["per_clip"] for run in results if run["dataset"] == dataset}
        for clip in next(iter(runs.values())):
            rows.add_row(clip, *[_number(runs.get(m, {}).get(clip, {}).get(figure)) for m in methods])
    return rows


def _heading(run: Mapping[str, Any]) -> str:
    r"""Return what a column is about, a line each; of a model's path the last part.

    >>> _heading({"dataset": "coco", "split": "all", "text_model": "models/mine", "crops": "masked"})
    'coco all\nmine\nmasked'
    """
    if "method" in run:
        return f"{run['dataset']}\n{run['method']}"
    lines = [f"{run['dataset']} {run['split']}", Path(run.get("text_model") or "").name, run.get("crops")]
    return "\n".join(line for line in lines if line)


def _number(value: Any, digits: int = 3) -> str:
    """Return a cell: whole numbers as they are, others rounded, nothing as a dash.

    >>> _number(0.62930), _number(37), _number(None)
    ('0.629', '37', '-')
    """
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


def save_json(results: Mapping[str, Any], path: str | Path) -> Path:
    """Write results as a JSON file and return its path; never NaN, which is no JSON.

    Raises:
        InputError: a value is not JSON.
        ExportError: the folder cannot be written.
    """
    try:
        text = json.dumps(results, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise InputError(f"results: expected JSON values, with None for what is unknown ({error})") from error
    write_bytes(Path(path), text.encode(errors="backslashreplace"))
    return Path(path)
