"""Options check themselves: type, range, and a message that names the option."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fastsam.config import CheckedConfig, RenderConfig, SegmentConfig, TextEvalConfig, TrainConfig, option
from fastsam.errors import ConfigError, FastSAMError, InputError

NAN, INF = float("nan"), float("inf")
CONFIGS = [SegmentConfig, RenderConfig, TrainConfig, TextEvalConfig]


@pytest.mark.parametrize("kind", CONFIGS)
def test_defaults_are_in_range_and_every_field_is_an_option(kind: type[CheckedConfig]) -> None:
    config = kind()
    assert [spec.name for spec in kind.options()] == [spec.name for spec in dataclasses.fields(config)]
    for spec in kind.options():
        assert spec.metadata["help"]
        assert len(spec.metadata["help"]) < 100
        assert getattr(config, spec.name) == spec.default
    assert kind() == config
    assert hash(kind()) == hash(config)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_ends_of_a_range_are_in_it_and_what_lies_beyond_is_not(kind: type[CheckedConfig]) -> None:
    checked = 0
    for spec in kind.options():
        for name, step in (("min", -1), ("max", 1)):
            end = spec.metadata[name]
            if end is None:
                continue
            good = int(end) if str(spec.type).startswith("int") else end
            assert getattr(kind(**{spec.name: good}), spec.name) == end
            with pytest.raises(ConfigError, match=f"^{spec.name}: expected .*, got {good + step!r}"):
                kind(**{spec.name: good + step})
            checked += 1
    assert checked


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (SegmentConfig, {"conf": NAN}, "conf: expected a number from 0 to 1, got nan"),
        (SegmentConfig, {"conf": INF}, "got inf"),
        (SegmentConfig, {"conf": "0.4"}, "got '0.4'"),
        (SegmentConfig, {"conf": None}, "got None"),
        (SegmentConfig, {"conf": True}, "got True"),
        (SegmentConfig, {"conf": [0.4]}, r"got \[0.4\]"),
        (SegmentConfig, {"iou": 1.5}, "iou: expected a number from 0 to 1, got 1.5"),
        (SegmentConfig, {"imgsz": 640.5}, "imgsz: expected a whole number from 32 to 8192, got 640.5"),
        (SegmentConfig, {"imgsz": "640"}, "imgsz"),
        (SegmentConfig, {"imgsz": None}, "imgsz"),
        (SegmentConfig, {"imgsz": 16}, "got 16"),
        (SegmentConfig, {"imgsz": False}, "got False"),
        (SegmentConfig, {"max_det": 0}, "max_det: expected a whole number from 1"),
        (SegmentConfig, {"max_det": 2.5}, "got 2.5"),
        (RenderConfig, {"alpha": -0.1}, "alpha"),
        (RenderConfig, {"contours": "no"}, "contours: expected True or False, got 'no'"),
        (RenderConfig, {"contours": 1}, "got 1"),
        (RenderConfig, {"boxes": None}, "got None"),
        (RenderConfig, {"seed": -1}, "seed: expected a whole number of at least 0"),
        (TrainConfig, {"hours": -1}, "hours"),
        (TrainConfig, {"hours": "2h"}, "hours"),
        (TrainConfig, {"device": 0}, "device: expected text, got 0"),
        (TrainConfig, {"device": None}, "device"),
        (TrainConfig, {"lr0": NAN}, "lr0"),
        (TrainConfig, {"batch": 0}, "batch"),
    ],
)
def test_what_is_no_value(kind: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        kind(**options)
    assert isinstance(caught.value, (FastSAMError, InputError, ValueError))


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int64(1), np.float64(1)])
def test_numbers_of_any_kind_become_the_options_type(value: Any) -> None:
    assert type(SegmentConfig(conf=value).conf) is float
    if not isinstance(value, (float, np.floating)):
        assert type(SegmentConfig(max_det=value).max_det) is int


def test_only_optional_options_take_none() -> None:
    assert TrainConfig(hours=None).hours is None
    assert TrainConfig(hours=2).hours == 2.0


def test_replace_checks_again() -> None:
    with pytest.raises(ConfigError, match="conf"):
        dataclasses.replace(SegmentConfig(), conf=2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        SegmentConfig().conf = 0.5  # type: ignore[misc]


def test_new_configs_get_the_same_checks() -> None:
    @dataclasses.dataclass(frozen=True)
    class Extra(CheckedConfig):
        share: float = option(0.5, "a share", min=0, max=1)
        free: float = option(0.0, "any number")
        plain: int = 3

    assert Extra(free=-7).free == -7
    assert [spec.name for spec in Extra.options()] == ["share", "free"]
    for bad in ({"share": 3}, {"free": NAN}, {"free": "x"}):
        with pytest.raises(ConfigError):
            Extra(**bad)  # type: ignore[arg-type]
