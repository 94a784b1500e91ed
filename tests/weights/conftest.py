"""Fixtures of the tests of weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsam.weights import download
from tests.weights.site import Site


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty FASTSAM_HOME; no proxy, no waiting between attempts."""
    for name in ("FASTSAM_OFFLINE", "FASTSAM_WEIGHTS_URL", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FASTSAM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "_WAITS_S", (0.0, 0.0, 0.0))
    return tmp_path / "home" / "weights"


@pytest.fixture
def site(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that is the mirror of all weights."""
    served = Site()
    monkeypatch.setenv("FASTSAM_WEIGHTS_URL", served.url)
    yield served
    served.close()
