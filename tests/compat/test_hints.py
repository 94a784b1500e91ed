"""Code for other packages that imports from fastsam, or calls its model, is told what to write."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fastsam
from fastsam import compat
from fastsam.errors import ConfigError
from tests.compat.drawn import PHOTO, core


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("FastSAMPrompt", "from fastsam.compat import FastSAM, FastSAMPrompt"),
        ("FastSAMPredictor", "from fastsam.compat.ultralytics import"),
        ("SAM", "from fastsam.compat.ultralytics import"),
        ("SamPredictor", "from fastsam.compat.segment_anything import"),
        ("sam_model_registry", "from fastsam.compat.segment_anything import"),
    ],
)
def test_names_of_other_packages_say_where_they_are(name: str, hint: str) -> None:
    with pytest.raises(ImportError, match=hint):
        exec(f"from fastsam import FastSAM, {name}")
    assert name not in dir(fastsam)
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        exec("from fastsam import Nothing")


def test_calling_the_model_with_options_of_others_says_what_to_write() -> None:
    assert len(core()(PHOTO)) == 3  # everything
    for option in ("retina_masks", "bboxes"):
        with pytest.raises(
            ConfigError, match=rf"{option}=.*from fastsam\.compat import FastSAM, FastSAMPrompt"
        ):
            core()(PHOTO, **{option: True})  # type: ignore[misc]


def test_the_call_shapes_load_only_what_is_asked_for() -> None:
    code = (
        "import sys, fastsam.compat, fastsam.compat.ultralytics, fastsam.compat.segment_anything;"
        "print([name for name in ('torch', 'ultralytics', 'open_clip') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    for name in compat.__all__:
        assert getattr(compat, name) is not None
    with pytest.raises(AttributeError, match="Nothing"):
        _ = compat.Nothing
