"""Fixtures of the video tests."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Check that a stream's thread ends, whichever way the stream was left."""
    yield
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "fastsam-video":
            thread.join(20)
            assert not thread.is_alive()
