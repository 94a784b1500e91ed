"""Options as widgets: a control for each field of a config, labelled in words that need no manual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from typing import Any

__all__ = ["control", "controls"]

_AT_MOST = {
    "imgsz": 2048,
    "max_det": 1000,
    "every": 30,
    "masks_per_text": 32,
    "forget_after_frames": 500,
    "trail_length": 500,
}
"""No visitor may hold up the others for minutes."""

# Name of an option -> its label and what it does. The other options come with the help of the command line.
_WORDS = {
    "conf": ("Minimum confidence", "A lower value finds more masks, including wrong ones."),
    "imgsz": ("Detail", "Side of the network's input in pixels. A larger one finds smaller objects."),
    "max_det": ("Maximum number of masks", "The best masks are shown."),
    "iou": ("Overlap of duplicates", "Boxes that overlap more than this are one object."),
    "fill_conf": ("Fill gaps", "Least confidence of such masks. Off if the minimum confidence is changed."),
    "regions": ("Regions", "At most this many, where no mask is. Off if the minimum confidence is changed."),
    "quality": ("Rank by mask quality", "Otherwise by the network's confidence."),
    "beyond_boxes": ("Masks beyond boxes", "Otherwise masks are cut at the network's boxes, as in YOLO."),
    "edge_radius": ("Follow edges", "How far mask edges may move to edges of the photo, in mask cells."),
    "min_region_share": ("Remove specks", "Fill holes and drop islands below this share of their mask."),
    "duplicate_iou": (
        "Drop similar masks",
        "Masks that overlap a better one by more than this; 1 keeps all.",
    ),
    "containment": ("Drop nested masks", "Masks inside a better one by more than this; 1 keeps all."),
    "tile": ("Search in tiles", "Side of a tile in pixels, for small objects in large photos; 0 is off."),
    "tile_overlap": ("Overlap of tiles", "Share of a tile's side."),
    "tile_whole": ("Also search the whole photo", "Finds objects that are larger than a tile."),
    "tile_iou": ("Join across tiles", "Masks of different tiles that overlap more than this are joined."),
    "crop_layers": ("Search in crops", "1: also search 2x2 crops; 2: also 4x4 crops; 0 is off."),
    "crop_overlap": ("Overlap of crops", "Share of the photo's shorter side."),
    "alpha": ("Opacity of masks", ""),
    "contours": ("Outlines", ""),
    "boxes": ("Boxes", ""),
    "scores": ("Scores", ""),
    "seed": ("Colors", "Change it for other colors."),
    "every": ("Use every n-th frame", "The network runs on these frames; motion fills those between."),
    "target_fps": ("Target frame rate", "Network passes are skipped to reach it; empty is off."),
    "follow_conf": ("Minimum confidence to follow", "Masks below it are ignored."),
    "forget_after_frames": ("Remember lost objects", "Number of frames; only if everything is followed."),
    "roi": ("Search near the objects only", "Faster, but new objects are found later."),
    "roi_every": ("Search the whole frame", "In every n-th frame, if it searches near the objects only."),
    "masks_per_text": ("Masks compared with a text", "Maximum per frame."),
    "trail_length": ("Length of trails", "Past positions remembered for each object."),
}


def control(gr: Any, spec: Field[Any], config: Any) -> Any:
    """Return the widget of a config's field, at the config's value."""
    value, low, high = getattr(config, spec.name), spec.metadata["min"], spec.metadata["max"]
    plain = spec.name.replace("_", " ").capitalize()
    label, info = _WORDS.get(spec.name, (plain, spec.metadata["help"]))
    about = {"value": value, "label": label, "info": info or None}
    if isinstance(value, bool):
        return gr.Checkbox(**about)
    if value is None:
        return gr.Number(**about, minimum=low, maximum=high)
    if high is None and spec.name not in _AT_MOST:
        return gr.Number(**about, minimum=low, precision=0)
    most = _AT_MOST.get(spec.name, high)
    high = max(most if high is None else min(high, most), value)
    return gr.Slider(**about, minimum=low, maximum=high, step=spec.metadata["step"])


def controls(gr: Any, config: Any, everyday: tuple[str, ...], rest: bool = True) -> Mapping[str, Any]:
    """Return the widgets of a config: those of every day, and the others under *Advanced*.

    Args:
        gr: the gradio module.
        config: whose fields, and their values.
        everyday: names of fields to show at once.
        rest: the other fields have controls, too.

    Returns:
        Name of a field -> its widget, in the order of the fields.
    """
    specs = {spec.name: spec for spec in config.options()}
    widgets = {name: control(gr, specs[name], config) for name in everyday}
    others = [name for name in specs if name not in everyday] if rest else []
    if others:
        with gr.Accordion("Advanced", open=False):
            widgets |= {name: control(gr, specs[name], config) for name in others}
    return {name: widgets[name] for name in specs if name in widgets}
