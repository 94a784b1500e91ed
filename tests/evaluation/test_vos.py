"""Following on small clips: figures of known followers, the methods themselves, resuming, report, command."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from rich.console import Console
from skimage import data
from typer.testing import CliRunner
from ultralytics.utils import ASSETS

from fastsam.cli import main as cli
from fastsam.config import SegmentConfig
from fastsam.errors import ConfigError, FastSAMError, InputError
from fastsam.evaluation import vos_methods
from fastsam.evaluation.clips import AnnotatedClip, read_clips
from fastsam.evaluation.report import VOS_LABELS, clip_table, table
from fastsam.evaluation.shards import Shards
from fastsam.evaluation.vos import evaluate_vos, stored_masks
from fastsam.evaluation.vos_methods import lapjv, with_shared_stage_one
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.model import FastSAM
from tests.evaluation import oracles

SIZE = (60, 96)
COUNT = 6


def place(t: int, number: int = 1) -> np.ndarray:
    """A 20 px square that moves by 4 px a frame; the second one stands below."""
    mask = np.zeros(SIZE, bool)
    x, y = (10 + 4 * t, 5) if number == 1 else (60, 35)
    mask[y : y + 20, x : x + 20] = True
    return mask


def write_clip(folder: Path, numbers: tuple[int, ...] = (1,), count: int = COUNT) -> None:
    for kind in ("frames", "masks"):
        (folder / kind).mkdir(parents=True)
    photo = data.astronaut()[: SIZE[0], : SIZE[1]]
    for t in range(count):
        rgb, indexed = photo.copy(), np.zeros(SIZE, np.uint8)
        for number in numbers:
            rgb[place(t, number)] = (250, 40 * number, 0)
            indexed[place(t, number)] = number
        Image.fromarray(rgb).save(folder / "frames" / f"{t:05d}.jpg")
        Image.fromarray(indexed).save(folder / "masks" / f"{t:05d}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_clip(tmp_path / "clips" / "one")
    write_clip(tmp_path / "clips" / "two", (1, 2))
    return tmp_path / "clips"


class Drawn:
    """A segmenter that finds both squares and the whole frame, and counts."""

    def __init__(self) -> None:
        self.times_ms = {"network": 7.0, "decode": 2.0}
        self.seen: list[int] = []

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        self.seen.append(frame.index)
        t = frame.index
        stack = np.stack([place(t), place(t, 2), np.ones(SIZE, bool)])
        return MaskSet.from_dense(stack, [0.9, 0.8, 0.7])


class Scripted:
    """A follower that answers what a function says."""

    name = "scripted"

    def __init__(self, answer: Any) -> None:
        self.answer, self.first = answer, {}
        self.times_ms = {"network": 0.0}

    def start(self, frame: Frame, masks: dict[int, np.ndarray]) -> None:
        self.first = masks

    def step(self, frame: Frame) -> Any:
        return self.answer(self.first, frame)


def truth_of(clip: AnnotatedClip) -> Scripted:
    return Scripted(lambda _, frame: clip.truth(frame.index))


MADE = {
    "truth": lambda _, clip: truth_of(clip),
    "first": lambda *_: Scripted(lambda first, _: first),
    "nothing": lambda *_: Scripted(lambda *_: {}),
    "wrong": lambda _, clip: Scripted(
        lambda first, frame: first if frame.index < 2 else {i: ~mask for i, mask in clip.truth(0).items()}
    ),
}


@pytest.fixture
def model() -> FastSAM:
    return FastSAM(segmenter=Drawn())


def by_method(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["method"]: one for one in results}


def test_figures_of_known_followers(root: Path, model: FastSAM) -> None:
    found = by_method(evaluate_vos(root, model, methods=MADE))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {name: one["J&F"] for name, one in found.items()}["truth"] == 1.0
    for one in found.values():
        assert (one["dataset"], one["clips"], one["objects"], one["frames"]) == ("clips", 2, 3, 12)
    # The moving square shares 20 - 4 t columns with its first place; frames 1..4 count, the last does not.
    moved = np.mean([(20 - 4 * t) / (20 + 4 * t) for t in (1, 2, 3, 4)])
    first = found["first"]
    assert first["per_clip"]["one"]["J_mean"] == pytest.approx(moved)
    assert first["J_mean"] == pytest.approx((moved + moved + 1) / 3)  # over objects, not over clips
    assert first["J_recall"] == pytest.approx((0.25 + 0.25 + 1) / 3)
    assert first["J_decay"] > 0.1
    assert (first["switches"], first["lost_frames"]) == (0, 0)
    assert (found["nothing"]["J&F"], found["nothing"]["lost_frames"]) == (0.0, 3 * 4)
    assert found["nothing"]["switches"] == 0
    assert found["wrong"]["switches"] == 3


def test_an_object_that_is_gone_is_met_by_an_empty_mask_only(root: Path, model: FastSAM) -> None:
    for t in (2, 3):
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(root / "one/masks" / f"{t:05d}.png")
    found = by_method(evaluate_vos(root / "one", model, methods=MADE))
    assert found["truth"]["J&F"] == 1.0
    assert found["nothing"]["J_mean"] == pytest.approx(2 / 4)
    assert found["nothing"]["lost_frames"] == 2
    assert found["first"]["switches"] == 1  # goes on where nothing is


def test_box_and_oracle_share_one_pass_a_frame_and_are_charged_alike(root: Path) -> None:
    segmenter = Drawn()
    found = by_method(evaluate_vos(root, FastSAM(segmenter=segmenter), methods=["box", "oracle"]))
    assert segmenter.seen == [1, 2, 3, 4, 5] * 2  # the first mask is given
    for one in found.values():
        assert one["J&F"] == 1.0
        assert (one["time_ms"]["network"], one["time_ms"]["decode"]) == (7.0, 2.0)
        assert one["time_ms"]["total"] == pytest.approx(1e3 / one["fps"])
        assert one["time_ms"]["total"] >= 9


def test_box_keeps_its_box_where_nothing_overlaps_it(root: Path) -> None:
    class Blinking(Drawn):
        def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
            return MaskSet.none(SIZE) if frame.index == 2 else super().segment(frame, config)

    found = evaluate_vos(root / "one", FastSAM(segmenter=Blinking()), methods=["box"])[0]
    assert found["lost_frames"] == 1
    assert found["J_mean"] == pytest.approx(3 / 4)


def test_the_shared_stage_one_runs_again_for_other_options_and_other_frames(model: FastSAM) -> None:
    twin, shared = with_shared_stage_one(model)
    frames = [Frame(np.zeros((*SIZE, 3), np.uint8), index=t) for t in (0, 1)]
    for frame, conf in itertools.product(frames, (0.1, 0.1, 0.2)):
        assert len(twin.open(frame, conf=conf).masks) == 3
    assert model.segmenter.seen == [0, 0, 1, 1]  # type: ignore[attr-defined]
    assert shared.cost_ms == {"network": 6 * 7.0, "decode": 6 * 2.0}
    assert shared.seen is model.segmenter.seen  # type: ignore[attr-defined]
    shared.reset()
    assert (shared.cost_ms, shared.waited_ms) == ({}, 0.0)


def test_interrupted_run_goes_on_and_new_methods_join(root: Path, model: FastSAM, tmp_path: Path) -> None:
    started: list[tuple[str, str]] = []

    def made(name: str, fail_on: str = "") -> Any:
        def build(_: FastSAM, clip: AnnotatedClip) -> Scripted:
            started.append((name, clip.name))
            if clip.name == fail_on:
                raise FastSAMError("power cut")
            return truth_of(clip)

        return build

    options: dict[str, Any] = {"out": tmp_path / "out", "model_id": "drawn"}
    with pytest.raises(FastSAMError, match="power cut"):
        evaluate_vos(root, model, methods={"a": made("a", "two")}, **options)
    first = evaluate_vos(root, model, methods={"a": made("a"), "b": made("b")}, **options)
    assert started == [("a", "one"), ("a", "two"), ("b", "one"), ("a", "two"), ("b", "two")]
    assert evaluate_vos(root, model, methods={"a": made("a"), "b": made("b")}, **options) == first
    assert len(started) == 5
    (run,) = (tmp_path / "out").iterdir()
    assert json.loads((run / "results-b.json").read_text()) == first[1]
    (shard,) = run.glob("two.a.*.npz")
    arrays = Shards.load(shard)
    assert arrays is not None
    kept = stored_masks(arrays)
    assert kept.shape == (COUNT - 1, 2, *SIZE)
    assert all(np.array_equal(kept[t - 1, 0], place(t)) for t in range(1, COUNT))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda *_: {7: np.zeros(SIZE, bool)}, r"clip one, frame 1: expected masks by object id.*got \[7\]"),
        (lambda *_: [np.zeros(SIZE, bool)], "got list"),
        (lambda *_: {1: np.zeros(SIZE, np.uint8)}, "object 1: expected a boolean mask .* got uint8"),
        (lambda *_: {1: np.zeros((4, 4), bool)}, r"got bool \(4, 4\)"),
        (lambda *_: {1: None}, "got NoneType"),
    ],
)
def test_what_a_follower_must_not_answer(root: Path, model: FastSAM, answer: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_vos(root, model, methods={"odd": lambda *_: Scripted(answer)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["boxx"]}, "method 'boxx': expected one of ours, box"),
        ({"methods": []}, "at least one of"),
        ({"limit": 0}, "at least 1 clip"),
        ({"methods": ["track"]}, "method 'track': expected a model with a checkpoint file"),
        ({"methods": ["box"], "out": "out"}, "model_id: expected a name"),
    ],
)
def test_mistakes(root: Path, model: FastSAM, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate_vos(root, model, **options)


def test_tables(root: Path, model: FastSAM) -> None:
    results = evaluate_vos(root, model, methods=MADE)
    console = Console(width=200, record=True, file=open(Path(root) / "log", "w", encoding="utf-8"))  # noqa: SIM115
    console.print(table(results))
    console.print(clip_table(results, "switches"))
    shown = console.export_text()
    console.file.close()
    assert all(name in shown for name in VOS_LABELS)
    assert all(name in shown for name in (*MADE, "switches of each clip", "time_ms.follow", "one", "two"))
    with pytest.raises(InputError, match="at least one"):
        clip_table([])


COSTS = st.tuples(st.integers(0, 4), st.integers(0, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 20).map(lambda n: n / 16))
)


@given(COSTS, st.sampled_from([0.25, 0.5, 0.8]))
def test_the_lent_assignment_is_the_cheapest(cost: np.ndarray, limit: float) -> None:
    total, by_row, by_column = lapjv(cost, extend_cost=True, cost_limit=limit)
    matched = [(row, column) for row, column in enumerate(by_row.tolist()) if column >= 0]
    assert len({column for _, column in matched}) == len(matched)
    assert [by_column[column] for _, column in matched] == [row for row, _ in matched]
    assert (by_column >= 0).sum() == len(matched)
    assert total == pytest.approx(sum(cost[pair] for pair in matched))
    alone = sum(cost.shape) - 2 * len(matched)
    assert total + alone * limit / 2 == pytest.approx(oracles.cheapest_assignment(cost, limit))


@pytest.fixture
def panned(tmp_path: Path) -> Path:
    """A street photo under a camera that pans; the bus is followed."""
    with Image.open(ASSETS / "bus.jpg") as opened:
        photo = opened.convert("RGB").resize((405, 540))
    for kind in ("frames", "masks"):
        (tmp_path / "street/bus" / kind).mkdir(parents=True)
    bus = np.zeros((540, 405), np.uint8)
    bus[115:378, 8:402] = 1
    for t in range(4):
        window = (3 * t, 40, 3 * t + 390, 440)
        photo.crop(window).save(tmp_path / "street/bus/frames" / f"{t}.jpg")
        Image.fromarray(bus).crop(window).save(tmp_path / "street/bus/masks" / f"{t}.png")
    return tmp_path / "street"


def test_ultralytics_tracker_follows_with_the_same_checkpoint(panned: Path) -> None:
    model = FastSAM(device="cpu")
    found = by_method(evaluate_vos(panned, model, methods=["track", "oracle"]))
    assert found["track"]["J_mean"] > 0.5  # the truth is a box
    assert found["track"]["J_mean"] <= found["oracle"]["J_mean"] + 0.05
    assert found["track"]["time_ms"]["network"] > 0


def test_a_solver_is_lent_where_lap_is_missing_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lap", None)  # as if it were not installed
    with vos_methods._assignment_at_hand():
        assert sys.modules["lap"].lapjv is lapjv
    assert "lap" not in sys.modules


def test_command(panned: Path, tmp_path: Path) -> None:
    flags = ["--protocol", "vos", "--method", "box", "--method", "oracle", "--out", str(tmp_path / "out")]
    pictures = tmp_path / "pictures"
    done = CliRunner().invoke(cli.app, ["eval", str(panned), *flags, "--json", "--pictures", str(pictures)])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["method"] for row in rows] == ["box", "oracle"]
    assert all(0.2 < row["J&F"] < 1 for row in rows)
    with Image.open(pictures / "bus.jpg") as strip:
        assert strip.size == (4 * 320, 3 * 328)  # four frames; truth and two methods
    again = CliRunner().invoke(cli.app, ["eval", str(panned), *flags])
    assert again.exit_code == 0, again.output
    assert "J&F of each clip" in again.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--protocol", "vos", "--split", "all"], "--split: has no effect with --protocol vos"),
        (["--protocol", "vos", "--noc"], "--noc: has no effect with --protocol vos"),
        (["--protocol", "vos", "--worst", "3"], "--worst: has no effect with --protocol vos"),
        (["--pictures", "somewhere"], "--pictures: has no effect with --protocol everything"),
        (["--method", "box"], "--method: has no effect with --protocol everything"),
    ],
)
def test_flags_of_the_other_protocol_are_refused(root: Path, flags: list[str], message: str) -> None:
    done = CliRunner().invoke(cli.app, ["eval", str(root), *flags])
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)


def test_reading_clips_limits_the_run(root: Path, model: FastSAM) -> None:
    calls: list[tuple[int, int, str]] = []
    found = evaluate_vos(root, model, methods=["box"], limit=1, on_progress=lambda *call: calls.append(call))
    assert (found[0]["clips"], calls) == (1, [(1, 1, "one")])
    assert len(read_clips(root)) == 2
