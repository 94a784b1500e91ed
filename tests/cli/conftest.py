"""Fixtures of the commands of video: a model that knows colours, and what it looks at."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fastsam import FastSAM
from fastsam.cli.flags import ModelFlags
from fastsam.testing import ColourWordEncoder
from tests.cli.colours import ColourSegmenter, street
from tests.video.clips import write_clip


@pytest.fixture
def segmenter(monkeypatch: pytest.MonkeyPatch) -> ColourSegmenter:
    """The model of the commands knows colours."""
    made = ColourSegmenter()
    model = FastSAM(segmenter=made, text_model=ColourWordEncoder())
    monkeypatch.setattr(ModelFlags, "load", lambda self: model)
    return made


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "street.mp4", street(24), 25, audio=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    for k, rgb in enumerate(street(12)):
        Image.fromarray(rgb).save(made / f"{k:03d}.png")
    return made
