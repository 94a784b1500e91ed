"""Every way out of a stream closes its source, and a run that broke off goes on."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastsam.errors import PromptError
from fastsam.prompts import Points, Text
from fastsam.video.stream import Stream
from tests.video.drawn import Drawn, DrawnSegmenter, Rgb, Shape, names, still, stream_of, streaming, walk

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

TWO = Drawn(Shape("red", walk(30, 30, 2)), Shape("blue", walk(95, 70, -2)))
SMALL = Drawn(Shape("red", still(10, 8), (8, 8)), size_hw=(16, 20))


def endless(closed: threading.Event) -> Iterator[Rgb]:
    try:
        while True:
            yield SMALL.rgb(0)
    finally:
        closed.set()


class Broken:
    """A segmenter that fails in its third frame."""

    times_ms: dict[str, float] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.good = DrawnSegmenter(SMALL)

    def segment(self, frame: Any, config: Any) -> Any:
        if frame.index == 2:
            raise RuntimeError("out of memory")
        return self.good.segment(frame, config)


def by_segmenter(stream: Stream) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        list(stream)
    assert stream.frame_index == 2


def by_consumer(stream: Stream) -> None:
    with pytest.raises(ZeroDivisionError):
        sum(1 / (frame.index - 1) for frame, _ in stream)


def by_break(stream: Stream) -> None:
    for frame, _ in stream:
        if frame.index == 1:
            break


def by_another_thread(stream: Stream) -> None:
    for frame, _ in stream:
        if frame.index == 1:
            closer = threading.Thread(target=stream.close)
            closer.start()
            closer.join(20)
    assert frame.index <= 2


def by_with(stream: Stream) -> None:
    with stream:
        next(iter(stream))


def by_never_starting(stream: Stream) -> None:
    stream.close()
    stream.close()
    assert list(stream) == []


@pytest.mark.parametrize(
    "leave", [by_segmenter, by_consumer, by_break, by_another_thread, by_with, by_never_starting]
)
def test_every_way_out_closes_the_source(leave: Callable[[Stream], None]) -> None:
    closed = threading.Event()
    segmenter = Broken() if leave is by_segmenter else DrawnSegmenter(SMALL)
    stream = streaming(segmenter, endless(closed))
    leave(stream)
    gc.collect()
    if leave is not by_never_starting:
        assert closed.wait(20)
    stream.reader._thread.join(20)
    assert not stream.reader._thread.is_alive()


def test_a_source_that_fails_in_the_middle() -> None:
    def failing() -> Iterator[Rgb]:
        yield from TWO.frames(2)
        raise KeyError("the producer's own")

    with pytest.raises(KeyError, match="the producer's own"):
        list(streaming(DrawnSegmenter(TWO), failing()))


# --- going on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["everything", "followed", "text"])
@pytest.mark.parametrize("every", [1, 3])
def test_a_run_that_broke_off_goes_on_with_its_ids(what: str, every: int) -> None:
    drawn = Drawn(
        Shape("green", walk(60, 20, 0, 0, range(2))),
        Shape("red", walk(30, 30, 2)),
        Shape("blue", walk(95, 70, -2)),
        Shape("yellow", walk(20, 80, 0, 0, range(6, 20))),
    )
    text = Text(["blue", "yellow"])
    with stream_of(drawn, 5, every=every) as stream:
        if what == "followed":
            stream.select(0, Points((95, 70)), object_id=8, label="ball")
        elif what == "text":
            stream.select(0, text)
        *_, (_, last) = stream
    wanted = names(drawn, last, 0.3)
    assert set(wanted) == ({"red", "blue"} if what == "everything" else {"blue"})
    with stream_of(drawn, 12, every=every, start=4) as stream:
        stream.resume(
            last.masks,
            last.ids,
            last.labels,
            prompted=what != "everything",
            prompts=[text] if what == "text" else (),
        )
        frames = list(stream)
        with pytest.raises(
            PromptError, match="resume: expected a stream before its first frame, it is at 11"
        ):
            stream.resume(last.masks, last.ids, prompted=False)
    assert [frame.index for frame, _ in frames] == list(range(5, 12))
    for _, masks in frames:
        found = names(drawn, masks, 0.3)
        assert {colour: found[colour] for colour in wanted} == wanted
    later = names(drawn, frames[-1][1])
    assert ("yellow" in later) == (what != "followed")
    assert later.get("yellow", 99) > max(wanted.values())
