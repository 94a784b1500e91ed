"""Options as widgets: a control for each field of a config."""

from __future__ import annotations

from dataclasses import Field
from typing import Any

__all__ = ["control"]

_AT_MOST = {
    "imgsz": 2048,
    "max_det": 1000,
    "every": 30,
    "masks_per_text": 32,
    "forget_after_frames": 500,
    "trail_length": 500,
}
"""No visitor may hold up the others for minutes."""


def control(gr: Any, spec: Field[Any], config: Any) -> Any:
    """Return the widget of a config's field, at the config's value."""
    value, low, high = getattr(config, spec.name), spec.metadata["min"], spec.metadata["max"]
    about = {"value": value, "label": spec.name, "info": spec.metadata["help"]}
    if isinstance(value, bool):
        return gr.Checkbox(**about)
    if value is None:
        return gr.Number(**about, minimum=low, maximum=high)
    if high is None and spec.name not in _AT_MOST:
        return gr.Number(**about, minimum=low, precision=0)
    most = _AT_MOST.get(spec.name, high)
    high = max(most if high is None else min(high, most), value)
    return gr.Slider(**about, minimum=low, maximum=high, step=spec.metadata["step"])
