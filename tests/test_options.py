"""Options by name are those of the configs, in name and type."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from fastsam.config import CheckedConfig, RenderConfig, SegmentConfig, VideoConfig
from fastsam.export import Annotations
from fastsam.options import (
    ExportOptions,
    LabelOptions,
    ReaderOptions,
    RenderOptions,
    SegmentOptions,
    VideoOptions,
)
from fastsam.session import Session
from fastsam.video.read.reader import open_video


@pytest.mark.parametrize(
    ("options", "config"),
    [(SegmentOptions, SegmentConfig), (RenderOptions, RenderConfig), (VideoOptions, VideoConfig)],
)
def test_options_mirror_the_configs(options: Any, config: type[CheckedConfig]) -> None:
    wanted = {spec.name: f"{spec.type} | None".replace("| None | None", "| None") for spec in fields(config)}
    assert {name: kind.__forward_arg__ for name, kind in options.__annotations__.items()} == wanted


def test_reader_options_are_those_of_open_video() -> None:
    parameters = inspect.signature(open_video).parameters.values()
    assert set(ReaderOptions.__annotations__) == {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_label_options_are_those_of_label() -> None:
    assert set(LabelOptions.__annotations__) == set(inspect.signature(Session.label).parameters) - {"self"}


def test_export_options_are_fields_of_annotations() -> None:
    assert set(ExportOptions.__annotations__) < set(get_type_hints(Annotations))
