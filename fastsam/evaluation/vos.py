"""Following objects through clips from their first masks: DAVIS's semi-supervised task.

Frames are read once and handed to each method one by one; stage one runs once a frame for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastsam
from fastsam.errors import ConfigError, InputError, check_one_of
from fastsam.evaluation.clips import AnnotatedClip, read_clips
from fastsam.evaluation.metrics import mean
from fastsam.evaluation.report import save_json
from fastsam.evaluation.shards import Arrays, OnProgress, Shards, measure_all, model_identity
from fastsam.evaluation.strips import save_strip
from fastsam.evaluation.vos_methods import (
    DEFAULT_METHODS,
    METHODS,
    ClipFollower,
    SharedSegmenter,
    with_shared_stage_one,
)
from fastsam.evaluation.vos_metrics import (
    contour_accuracy,
    identity_switches,
    lost_frames,
    region_similarity,
    sequence_statistics,
)
from fastsam.images.frame import Frame

if TYPE_CHECKING:
    from fastsam.model import FastSAM

__all__ = ["Method", "evaluate_vos", "stored_masks"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Method = Callable[["FastSAM", AnnotatedClip], ClipFollower]

_MEASURES = 1  # raise it when what is measured changes: stored measurements are then not used again
_STAGES = ("read", "network", "decode", "follow")


def evaluate_vos(
    root: str | Path,
    model: FastSAM,
    *,
    methods: Sequence[str] | Mapping[str, Method] = DEFAULT_METHODS,
    out: str | Path | None = None,
    pictures: str | Path | None = None,
    limit: int | None = None,
    model_id: str | None = None,
    on_progress: OnProgress | None = None,
) -> list[dict[str, Any]]:
    """Measure methods of following on the clips of a folder.

    J and F are means over the objects of all clips, of each object over its frames without the first, whose
    mask is given, and without the last, as DAVIS does. Answers for several objects may overlap.

    Args:
        root: clips (:func:`fastsam.evaluation.clips.read_clips`).
        model: its stage one finds the masks, with its own defaults.
        methods: names of :data:`fastsam.evaluation.vos_methods.METHODS`, or methods of your own by name.
        out: folder for one file per clip and method, and ``results.json``; an interrupted run continues
            from there.
        pictures: folder for a strip of frames a clip with the answers of each method.
        limit: maximum number of clips, in the order of their names.
        model_id: names a model that has no checkpoint file, or a state of the methods; needed only
            with ``out``.
        on_progress: called after each clip with (done, total, name).

    Returns:
        figures by name for each method, JSON values only; None where nothing could be measured. Times are
        means over frames, milliseconds; ``fps`` counts all from a frame's file to its masks.

    Raises:
        DatasetError: a clip is incomplete.
        ConfigError: no or an unknown method, ``limit`` is below 1, or ``out`` is given for a model without
            identity.
        InputError: a method answers something else than masks of the frame.
        ExportError: ``out`` or ``pictures`` cannot be written.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: expected at least 1 clip, got {limit}")
    chosen, clips = _chosen(methods), read_clips(root, limit)
    shared_model, shared = with_shared_stage_one(model)
    identity = {
        "model": model_identity(model.segmenter, model_id, required=out is not None),
        "segment": asdict(model.defaults),
        "version": fastsam.__version__,
        "measures": _MEASURES,
    }
    name = Path(root).resolve().name
    shards = Shards(out, f"{name}-vos", identity)

    def files(clip: AnnotatedClip) -> dict[str, Path | None]:
        inputs = [file for pair in zip(clip.frames, clip.masks, strict=True) for file in pair]
        return {method: shards.path(inputs, f"{clip.name}.{method}") for method in chosen}

    def measure(clip: AnnotatedClip, missing: list[str]) -> Iterable[tuple[str, Arrays]]:
        followers = {method: chosen[method](shared_model, clip) for method in missing}
        return _run(clip, followers, shared).items()

    measured: list[dict[str, Arrays]] = []
    by_clip = measure_all(clips, files, measure, label=lambda clip: clip.name, on_progress=on_progress)
    for clip, by_method in zip(clips, by_clip, strict=True):
        measured.append(by_method)
        if pictures is not None:
            answers = {method: stored_masks(arrays) for method, arrays in by_method.items()}
            save_strip(clip, answers, Path(pictures) / f"{clip.name}.jpg")
    results = [
        {
            **{"dataset": name, "protocol": "vos", "method": method},
            **_summary(clips, [by_method[method] for by_method in measured]),
            **identity,
        }
        for method in chosen
    ]
    if shards.folder is not None:
        for result in results:
            save_json(result, shards.folder / f"results-{result['method']}.json")
    return results


def _chosen(methods: Sequence[str] | Mapping[str, Method]) -> dict[str, Method]:
    """Return the methods by name, in the order asked for."""
    if not isinstance(methods, Mapping):
        for name in methods:
            check_one_of(name, METHODS, "method", ConfigError)
        methods = {name: METHODS[name] for name in methods}
    if not methods:
        raise ConfigError(f"methods: expected at least one of {', '.join(METHODS)}, got none")
    return dict(methods)


@dataclass
class _Record:
    """What one method did so far on a clip of K objects."""

    name: str
    rows: list[FloatArray]  # a frame: (K, 4) J, F, pixels of the answer, pixels of the truth
    packed: list[NDArray[np.uint8]]  # a frame: (K, H, W) as bits
    times: list[list[float]]

    def add(
        self, answer: Mapping[int, BoolArray], truth: Mapping[int, BoolArray], times: list[float]
    ) -> None:
        """Measure the answer to one frame."""
        masks = [answer.get(i, np.zeros_like(true)) for i, true in truth.items()]
        pairs = list(zip(masks, truth.values(), strict=True))
        self.rows.append(
            np.array(
                [
                    [
                        region_similarity(m, t),
                        contour_accuracy(m, t),
                        np.count_nonzero(m),
                        np.count_nonzero(t),
                    ]
                    for m, t in pairs
                ],
                np.float64,
            )
        )
        self.packed.append(np.packbits(np.stack(masks)))
        self.times.append(times)

    def arrays(self, size_hw: tuple[int, int]) -> Arrays:
        """Return it as arrays of (K, T) values, T frames from the second on."""
        j, f, found_px, truth_px = np.stack(self.rows).transpose(2, 1, 0)
        return {
            "J": j,
            "F": f,
            "found_px": found_px.astype(np.int64),
            "truth_px": truth_px.astype(np.int64),
            "times_ms": np.array(self.times),
            "packed": np.stack(self.packed),
            "shape": np.array([len(self.rows), len(j), *size_hw]),
        }


def stored_masks(arrays: Arrays) -> BoolArray:
    """Return the (T, K, H, W) answers of a method on a clip, from the second frame on."""
    shape = tuple(int(n) for n in arrays["shape"])
    bits = np.unpackbits(arrays["packed"], axis=1, count=int(np.prod(shape[1:])))
    return np.asarray(bits.reshape(shape).astype(bool))


def _run(
    clip: AnnotatedClip, followers: Mapping[str, ClipFollower], shared: SharedSegmenter
) -> dict[str, Arrays]:
    """Hand the frames of a clip to each follower."""
    first, given = clip.frame(0), clip.truth(0)
    for follower in followers.values():
        follower.start(first, {i: mask.copy() for i, mask in given.items()})
    records = {name: _Record(name, [], [], []) for name in followers}
    for number in range(1, len(clip)):
        start = time.perf_counter()
        frame = clip.frame(number)
        read_ms = 1e3 * (time.perf_counter() - start)
        truth = clip.truth(number)
        for name, follower in followers.items():
            answer, times = _timed_step(follower, frame, shared)
            _check_answer(answer, frame, clip, name)
            records[name].add(answer, truth, [read_ms, *times])
    return {name: record.arrays(first.size_hw) for name, record in records.items()}


def _timed_step(
    follower: ClipFollower, frame: Frame, shared: SharedSegmenter
) -> tuple[dict[int, BoolArray], list[float]]:
    """Return a follower's answer and its times: network, decode, and the rest."""
    shared.reset()
    start = time.perf_counter()
    answer = follower.step(frame)
    own_ms = 1e3 * (time.perf_counter() - start) - shared.waited_ms
    cost = shared.cost_ms
    if not cost:  # one with a network of its own
        cost = {name: follower.times_ms.get(name, 0.0) for name in ("network", "decode")}
        own_ms -= sum(cost.values())
    decode_ms = cost.get("decode", 0.0)
    return answer, [sum(cost.values()) - decode_ms, decode_ms, max(own_ms, 0.0)]


def _check_answer(answer: Any, frame: Frame, clip: AnnotatedClip, name: str) -> None:
    where = f"method {name!r}, clip {clip.name}, frame {frame.index}"
    if not isinstance(answer, dict) or not set(answer) <= set(clip.ids):
        raise InputError(
            f"{where}: expected masks by object id, ids among {list(clip.ids)}, "
            f"got {sorted(answer) if isinstance(answer, dict) else type(answer).__name__}"
        )
    for object_id, mask in answer.items():
        if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != frame.size_hw:
            got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
            raise InputError(
                f"{where}, object {object_id}: expected a boolean mask {frame.size_hw} (H, W), got {got}"
            )


def _summary(clips: Sequence[AnnotatedClip], measured: Sequence[Arrays]) -> dict[str, Any]:
    """Return the figures of one method over all clips, and of each clip."""
    objects = [[_object_figures(arrays, k) for k in range(len(arrays["J"]))] for arrays in measured]
    each = {
        clip.name: _pooled(figures) | _speed([arrays])
        for clip, figures, arrays in zip(clips, objects, measured, strict=True)
    }
    return {
        "clips": len(clips),
        "objects": sum(len(figures) for figures in objects),
        "frames": sum(len(clip) for clip in clips),
        **_pooled([figures for of_clip in objects for figures in of_clip]),
        **_speed(measured),
        "per_clip": each,
    }


def _object_figures(arrays: Arrays, k: int) -> dict[str, float | None]:
    """Return the figures of one object: all frames but the first, which is not stored, and the last."""
    j, f, found_px, truth_px = (arrays[name][k, :-1] for name in ("J", "F", "found_px", "truth_px"))
    seen = truth_px > 0
    return {
        **{f"J_{name}": value for name, value in sequence_statistics(j).items()},
        **{f"F_{name}": value for name, value in sequence_statistics(f).items()},
        # An absent object is never met: DAVIS's J of 1 for two empty masks would say so.
        "switches": identity_switches(np.where(seen, j, 0.0), found_px),
        "lost_frames": lost_frames(found_px, truth_px),
    }


def _pooled(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the means over objects, and how often objects were switched or lost."""
    parts = [f"{measure}_{kind}" for measure in "JF" for kind in ("mean", "recall", "decay")]
    means = {name: mean(np.array([one[name] for one in figures], np.float64)) for name in parts}
    both = [means["J_mean"], means["F_mean"]]
    return {
        "J&F": None if None in both else float(np.mean(np.array(both, np.float64))),
        **means,
        "switches": sum(int(one["switches"]) for one in figures),
        "lost_frames": sum(int(one["lost_frames"]) for one in figures),
    }


def _speed(measured: Sequence[Arrays]) -> dict[str, Any]:
    """Return mean times a frame and frames a second."""
    times = np.concatenate([arrays["times_ms"] for arrays in measured])
    by_stage = {name: float(times[:, k].mean()) for k, name in enumerate(_STAGES)}
    total = float(times.sum(axis=1).mean())
    return {"fps": 1e3 / total if total > 0 else None, "time_ms": by_stage | {"total": total}}
