"""What a visitor downloads: the masks in every format, the picture, the cut-outs."""

from __future__ import annotations

import zipfile
from pathlib import Path

from fastsam.errors import PromptError
from fastsam.export import FORMATS, safe_name, write
from fastsam.images.drawing import overlay, save_image
from fastsam.page.photo.answer import ShownMasks, answer_of, shown_masks
from fastsam.page.photo.messages import selected_picture
from fastsam.page.photo.state import PhotoState
from fastsam.session import Session

__all__ = ["CHOICES", "write_download"]

_WORDS = {
    "view": "Picture as shown (PNG)",
    "cutout": "Cut-outs, one PNG per mask",
    "coco": "COCO (JSON)",
    "yolo": "YOLO (polygons)",
    "labelme": "LabelMe (JSON)",
    "png": "Masks, one PNG each",
    "labelmap": "Label map (16-bit PNG)",
    "sam-json": "Segment Anything (JSON)",
    "geojson": "GeoJSON (pixels)",
    "npz": "NumPy (npz)",
    "csv": "Table without pixels (CSV)",
}
CHOICES = [(words, name) for name, words in _WORDS.items() if name == "view" or name in FORMATS]
CHOICES += [(row.name, row.name) for row in FORMATS.values() if row.name not in _WORDS]
"""What can be downloaded, as (words, name)."""


def write_download(state: PhotoState, what: str, folder: Path) -> Path:
    """Write what is shown, at the photo's own size, as one file in a folder, and return it.

    Args:
        state: whose.
        what: a name of :data:`CHOICES`.
        folder: where to write.

    Raises:
        PromptError: no photo is open, or no mask is shown.
        ExportError: unknown format, or the folder cannot be written.
    """
    session = state.opened
    answer = answer_of(state)
    shown = shown_masks(state, answer)
    if len(shown.masks) == 0:
        raise PromptError("There is no mask to download; clear the prompts, or lower the minimum confidence.")
    name = safe_name(session.frame.name)
    if what == "view" and state.effect.kind == "masks":
        picture = overlay(
            session.frame, shown.masks, state.render, labels=shown.labels, rows=list(shown.numbers)
        )
        return save_image(picture, folder / f"{name}_masks.png")
    if what == "view":
        picture = selected_picture(session, answer, state.effect)
        return save_image(picture, folder / f"{name}_{state.effect.kind}.png")
    files = _exported(session, shown, what, folder / "masks")
    return _packed(folder / f"{name}_{what}.zip", files, folder / "masks")


def _exported(session: Session, shown: ShownMasks, what: str, folder: Path) -> list[Path]:
    frame = session.frame
    known = {"source": frame.source, "labels": shown.labels, "levels": shown.levels, "rgb": frame.rgb}
    return write(shown.masks, folder, what, name=frame.name, **known)


def _packed(target: Path, files: list[Path], root: Path) -> Path:
    """Write files into one zip, by their names under a folder."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(root))
    return target
