"""The hand-over between two threads: waiting, dropping, ending, failing."""

from __future__ import annotations

import threading

import pytest

from fastsam.video.read.hand_over import Ended, HandOver


def started(work: object) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_all_waits_and_keeps_the_order() -> None:
    queue: HandOver[int] = HandOver("all", 2)
    laid: list[int] = []

    def produce() -> None:
        for k in range(50):
            assert queue.put(k)
            laid.append(k)
        queue.finish()

    thread = started(produce)
    got = []
    while True:
        try:
            got.append(queue.get(20))
        except Ended:
            break
        assert len(laid) <= len(got) + 3  # two in the queue, one more may be noted first
    thread.join(20)
    assert got == list(range(50))
    assert queue.dropped == 0


def test_latest_keeps_one() -> None:
    queue: HandOver[int] = HandOver("latest", 4)
    for k in range(10):
        assert queue.put(k)
    assert queue.get(1) == 9
    assert queue.dropped == 9
    with pytest.raises(TimeoutError):
        queue.get(0)
    queue.put(10)
    queue.finish()
    assert queue.get() == 10
    with pytest.raises(Ended):
        queue.get()


def test_an_error_comes_after_the_last_item_and_once() -> None:
    queue: HandOver[int] = HandOver("all", 4)
    queue.put(1)
    queue.finish(ZeroDivisionError("in the thread"))
    assert queue.get() == 1
    with pytest.raises(ZeroDivisionError, match="in the thread"):
        queue.get()
    with pytest.raises(Ended):
        queue.get()


def test_closing_wakes_a_producer_that_waits() -> None:
    queue: HandOver[int] = HandOver("all", 1)
    answers: list[bool] = []
    full = threading.Event()

    def produce() -> None:
        answers.append(queue.put(1))
        full.set()
        answers.append(queue.put(2))

    thread = started(produce)
    assert full.wait(20)
    queue.close()
    thread.join(20)
    assert answers == [True, False]
    assert not queue.put(3)
    with pytest.raises(Ended):
        queue.get()


def test_closing_wakes_a_consumer_that_waits() -> None:
    queue: HandOver[int] = HandOver("all", 1)
    ended = threading.Event()

    def consume() -> None:
        with pytest.raises(Ended):
            queue.get()
        ended.set()

    thread = started(consume)
    queue.close()
    assert ended.wait(20)
    thread.join(20)
    queue.finish(ValueError("too late"))
    with pytest.raises(Ended):
        queue.get()
