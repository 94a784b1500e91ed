"""The facade, on the embedded weights and real photographs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastsam import Box, FastSAM, MaskLike, Points, Session, all_of, any_of, but_not
from fastsam.cli.demo import demo_photo
from fastsam.errors import ConfigError, ExportError, ImageError, PromptError, UnknownWeightsError
from fastsam.masks.dense import iou_matrix
from fastsam.testing import ColourWordEncoder, FixedSegmenter

LEFT_PERSON = (150, 600)
BUS = (20, 230, 800, 750)


@pytest.fixture(scope="module")
def model() -> FastSAM:
    return FastSAM(device="cpu")


@pytest.fixture(scope="module")
def bus(model: FastSAM) -> Session:
    return model.open(demo_photo(), conf=0.2)


def test_click_selects_the_clicked_person(bus: Session) -> None:
    answer = bus.select(Points(LEFT_PERSON))
    assert len(answer) == 1
    x1, y1, x2, y2 = answer.boxes_xyxy[0]
    # the person on the left stands in about (48, 398, 245, 903)
    assert 20 < x1 < 90
    assert 370 < y1 < 430
    assert 190 < x2 < 270
    assert 860 < y2 < 940
    assert answer.masks.mask(0)[600, 150]


def test_box_selects_the_bus(bus: Session) -> None:
    answer = bus.select(Box(BUS))
    assert answer.scores[0] > 0.6
    assert answer.masks.areas_px[0] > 150_000


def test_network_runs_once_for_many_prompts(monkeypatch: pytest.MonkeyPatch, model: FastSAM) -> None:
    calls = []
    real = model.segmenter.segment
    monkeypatch.setattr(model.segmenter, "segment", lambda f, c: calls.append(1) or real(f, c))
    session = model.open(demo_photo())
    session.select_many([Points(LEFT_PERSON), Box(BUS), MaskLike.scribble([(100, 500), (180, 700)], 5)])
    assert len(calls) == 1


def test_combinations(bus: Session) -> None:
    person, box = Points(LEFT_PERSON), Box(BUS)
    both = bus.select(any_of(person, box))
    assert len(both) == 2
    assert bus.select(all_of(person, Box((30, 380, 260, 920)))).indices.tolist() == both.indices[:1].tolist()
    rest = bus.select(but_not(Points(LEFT_PERSON, 0), box))
    assert set(rest.indices).isdisjoint(both.indices)


def test_previous_answer_is_a_prompt(bus: Session) -> None:
    first = bus.select(Points(LEFT_PERSON))
    again = bus.select(MaskLike(first))
    assert again.indices.tolist() == first.indices.tolist()
    assert again.scores[0] > 0.9  # what was handed out is refined, what is chosen among is not


def test_levels_of_everything(bus: Session) -> None:
    tree = bus.levels
    assert bus.levels is tree, "found once"
    whole, part = bus.everything("whole"), bus.everything("part")
    assert whole.levels == ("whole",) * len(whole)
    assert set(part.levels) == {"part"}
    assert set(part.indices).isdisjoint(whole.indices)
    assert all(tree.parent[i] in whole.indices for i in part.indices)
    assert not whole.edited.any()
    assert "of level part" in part.reason
    with pytest.raises(PromptError, match=r"level .*: expected one of whole, part, subpart"):
        bus.everything("auto")  # type: ignore[arg-type]


def test_everything_as_a_partition(bus: Session, tmp_path: Path) -> None:
    apart = bus.everything(disjoint=True)
    pixels = np.asarray(apart.masks)
    assert pixels.sum(axis=0).max() == 1
    assert 0 < apart.edited.sum() < len(apart)
    assert "of them apart" in apart.reason
    labels = apart.label_map()
    assert labels.max() == len(apart)
    assert all((labels[mask] == k + 1).all() for k, mask in enumerate(pixels))
    for k in np.flatnonzero(~apart.edited):  # refined as they would be alone
        assert np.array_equal(pixels[k], bus.everything().masks.mask(int(apart.indices[k])))
    (path,) = apart.export(tmp_path, "labelmap")
    with Image.open(path) as kept:
        assert np.array_equal(np.asarray(kept), labels)
    parts = bus.everything("part", disjoint=True)
    assert set(parts.levels) <= {"part"}
    assert apart.plot().shape == bus.frame.rgb.shape


def test_an_earlier_answer_is_handed_out_as_it_was(bus: Session) -> None:
    first = bus.select(Points(LEFT_PERSON))
    kept = bus.select(Points(LEFT_PERSON, previous=first))  # it holds the click already
    assert np.array_equal(kept.masks.mask(0), first.masks.mask(0))
    assert kept.indices.tolist() == first.indices.tolist()
    wider = bus.select(Points((400, 1070), previous=first)).masks.mask(0)  # the street is another thing
    assert wider[1070, 400]
    assert (wider >= first.masks.mask(0)).all()
    more = bus.select(Points((740, 640), previous=kept))
    assert (more.masks.mask(0) >= first.masks.mask(0)).all()
    assert more.masks.mask(0)[640, 740]


def test_what_came_from_no_mask_has_no_name() -> None:
    drawn = np.zeros((2, 20, 30), bool)
    drawn[0, 2:12, 2:12] = drawn[1, 15:, 20:] = True
    model = FastSAM(segmenter=FixedSegmenter(drawn[:1]), text_model=ColourWordEncoder())
    session = model.open(np.full((20, 30, 3), 200, np.uint8)).label(["white", "black"])
    alone = session.select(Points((1, 19), previous=drawn[1]))
    assert (alone.indices.tolist(), alone.labels) == ([-1], ("unknown",))
    assert alone.plot().shape == (20, 30, 3)


def test_masks_in_better_ones_can_be_dropped(model: FastSAM) -> None:
    every = model.open(demo_photo(), conf=0.05)
    fewer = model.open(demo_photo(), conf=0.05, containment=0.8)
    assert 0 < len(fewer.masks) < len(every.masks)
    assert set(fewer.masks.scores.tolist()) <= set(every.masks.scores.tolist())


def test_options_and_defaults(model: FastSAM) -> None:
    session = model.open(demo_photo(), imgsz=320, conf=0.6, max_det=5, quality=False)
    assert (session.config.imgsz, session.config.conf, session.config.max_det) == (320, 0.6, 5)
    assert len(session.masks) <= 5
    assert (session.masks.scores > 0.6).all()
    assert set(session.times_ms) == {"read", "prepare", "network", "decode"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conf": 1.5}, "conf: expected a number from 0 to 1, got 1.5"),
        ({"imgsz": 0}, "imgsz"),
        ({"iou": float("nan")}, "iou"),
        ({"treshold": 1}, "option 'treshold': expected one of beyond_boxes"),
    ],
)
def test_bad_options(model: FastSAM, options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model.open(demo_photo(), **options)


def test_bad_sources_and_prompts(model: FastSAM, bus: Session, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="nothing"):
        model.open(tmp_path / "nothing.jpg")
    with pytest.raises(PromptError, match=r"point \(900, 40\) is outside the 810x1080 image"):
        bus.select(Points((900, 40)))
    with pytest.raises(UnknownWeightsError, match="FastSAM-q"):
        FastSAM("FastSAM-q")


def test_exif_rotation_gives_the_upright_answer(model: FastSAM, bus: Session) -> None:
    photo = Image.open(demo_photo())
    stored = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me right": what is stored lies on its left side
    photo.transpose(Image.Transpose.ROTATE_90).save(stored, "JPEG", quality=95, exif=exif)
    turned = model.open(stored.getvalue(), conf=0.2)
    assert turned.frame.size_hw == bus.frame.size_hw
    a, b = (np.asarray(s.select(Points(LEFT_PERSON)).masks) for s in (bus, turned))
    assert iou_matrix(a, b)[0, 0] > 0.9


def test_tiny_and_empty_images_find_nothing_and_go_through_everything(model: FastSAM, tmp_path: Path) -> None:
    session = model.open(np.zeros((1, 1, 3), np.uint8), conf=1.0)
    everything = session.everything()
    assert len(everything) == 0
    for prompt in (Points((0, 0), 0), Box((0, 0, 1, 1)), MaskLike(np.ones((1, 1), bool))):
        assert len(session.select(prompt)) == 0
        assert session.select(prompt).reason
    made = session.select(Points((0, 0)))  # no click is dead
    assert made.masks.mask(0).all()
    assert made.reason == "made from 1 click where no mask lies"
    assert everything.plot().shape == (1, 1, 3)
    assert everything.save(tmp_path / "empty.png").is_file()
    assert everything.export(tmp_path / "masks", "coco")


def test_result_draws_saves_and_exports(bus: Session, tmp_path: Path) -> None:
    answer = bus.select(Points([LEFT_PERSON, (400, 400)], [1, 0]))
    drawn = answer.plot(alpha=0.7)
    assert drawn.shape == bus.frame.rgb.shape
    assert (drawn != bus.frame.rgb).any()
    with Image.open(answer.save(tmp_path / "click.jpg")) as saved:
        assert saved.size == (810, 1080)
    assert answer.export(tmp_path, "npz")[0].is_file()
    cutout = answer.cutouts()[0]
    assert cutout.shape[2] == 4
    assert (cutout[..., 3] > 0).sum() == answer.masks.areas_px[0]
    with pytest.raises(ConfigError, match="option 'alfa'"):
        answer.plot(alfa=1)


def test_sessions_do_not_grow_memory(model: FastSAM) -> None:
    """CASIA-IVA-Lab/FastSAM#182: memory grew in a loop."""
    import gc
    import tracemalloc

    photo = np.asarray(Image.open(demo_photo()).resize((320, 426)))

    def once() -> None:
        model.open(photo, imgsz=320).select(Points((60, 240))).plot()

    once()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(5):
        once()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 1_000_000


def test_a_scale_beyond_the_weights_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    fresh, small = FastSAM(device="cpu"), np.full((32, 32, 3), 90, np.uint8)
    fresh.open(small)
    fresh.open(small, imgsz=800)
    assert not caplog.records
    fresh.open(small, imgsz=1024)
    fresh.open(small, imgsz=1024)
    (said,) = caplog.records
    assert "imgsz=1024 is beyond" in said.getMessage()
    assert "above 800 px" in said.getMessage()
    assert "tile=640" in said.getMessage()


def test_what_covers_a_photo_is_on_unless_a_confidence_is_asked_for(model: FastSAM) -> None:
    photo = demo_photo()
    covered, sure = model.open(photo), model.open(photo, conf=model.defaults.conf)
    assert covered.masks.union().mean() > 0.95
    assert sure.masks.union().mean() < covered.masks.union().mean()
    here = covered.masks.boxes_xyxy.tolist()
    assert all(box in here for box in sure.masks.boxes_xyxy.tolist())


def test_any_segmenter_serves() -> None:
    masks = np.zeros((2, 8, 8), bool)
    masks[0, :4], masks[1, 4:] = True, True
    session = FastSAM(segmenter=FixedSegmenter(masks, [0.9, 0.3])).open(
        np.zeros((8, 8, 3), np.uint8), conf=0.2
    )
    assert session.select(Points((1, 6))).indices.tolist() == [1]


def test_bad_paths_options_and_segmenters_are_our_errors(bus: Session, tmp_path: Path) -> None:
    answer = bus.select(Points(LEFT_PERSON))
    for call in (
        lambda: answer.save(None),
        lambda: answer.export(None),
        lambda: answer.export("a\0b"),
        lambda: answer.export(tmp_path, "png", foo=1),
        lambda: answer.export(tmp_path, "png", name="z"),
        lambda: FastSAM(segmenter="x"),
    ):
        with pytest.raises(ConfigError, match="expected"):
            call()
    with pytest.raises(ExportError, match="format"):
        answer.export(tmp_path, ["png"])
    with pytest.raises(PromptError, match="expected a list of prompts, got Points"):
        bus.select_many(Points(LEFT_PERSON))


def test_records_have_a_short_repr(bus: Session) -> None:
    for record in (bus, bus.frame, bus.masks, bus.everything()):
        assert len(repr(record)) < 120
