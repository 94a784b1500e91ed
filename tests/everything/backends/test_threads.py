"""One model, many threads: what they get is what one thread gets."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastsam import FastSAM, SegmentConfig, read_frame
from fastsam.masks.maskset import MaskSet

pytest.importorskip("ultralytics")

Photos = list[tuple[NDArray[np.uint8], int]]


@pytest.fixture(scope="module")
def photos(photographs: dict[str, NDArray[np.uint8]]) -> Photos:
    """A portrait, the same turned, and other sizes: (photo, imgsz)."""
    portrait = np.asarray(Image.fromarray(photographs["bus"]).resize((240, 320)))
    wide = np.asarray(Image.fromarray(photographs["zidane"]).resize((320, 180)))
    return [(portrait, 160), (np.ascontiguousarray(np.rot90(portrait)), 160), (wide, 160), (portrait, 128)]


def differences(answer: Callable[[int], MaskSet], kinds: int, opens: int) -> list[int]:
    """Open photos in four threads, and return which opens differ from what one thread got."""
    serial = [answer(kind) for kind in range(kinds)]

    def same(number: int) -> bool:
        found, wanted = answer(number % kinds), serial[number % kinds]
        return (
            np.array_equal(found.boxes_xyxy, wanted.boxes_xyxy)
            and np.array_equal(found.scores, wanted.scores)
            and all(np.array_equal(found.crop(i).patch, wanted.crop(i).patch) for i in range(len(wanted)))
        )

    assert all(len(masks) for masks in serial)
    with ThreadPoolExecutor(4) as pool:
        equal = list(pool.map(same, range(opens)))
    return [number for number, good in enumerate(equal) if not good]


@pytest.mark.parametrize("opens", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_threads_get_what_one_thread_gets(photos: Photos, embedded_weights: Path, opens: int) -> None:
    model = FastSAM(embedded_weights)

    def answer(kind: int) -> MaskSet:
        photo, imgsz = photos[kind]
        return model.open(photo, imgsz=imgsz, conf=0.02).masks

    assert differences(answer, len(photos), opens) == []


def test_a_head_keeps_the_input_size_for_each_thread(embedded_weights: Path) -> None:
    from fastsam.everything.backends.torch_network import keep_sizes_apart, load_network

    network, _ = load_network(embedded_weights)
    head = network.model[-1]
    keep_sizes_apart(head)
    assert "anchors" not in vars(head)
    assert type(head).__name__ == type(head).__mro__[1].__name__

    def shape_seen(_: int) -> object:
        before = head.shape
        head.shape = (1,)
        return before

    head.shape = (2,)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(shape_seen, 0).result() is None  # the class's own start, not this thread's
    assert head.shape == (2,)


def test_each_call_has_its_own_times(photos: Photos, embedded_weights: Path) -> None:
    backend = FastSAM(embedded_weights).segmenter
    frame, config = read_frame(photos[0][0]), SegmentConfig(imgsz=128)
    with ThreadPoolExecutor(2) as pool:
        times = [found.times_ms for found in pool.map(lambda _: backend.segment(frame, config), range(2))]
    assert all(set(one) == {"prepare", "network", "decode"} for one in times)
    assert times[0] is not times[1]
