"""What a visitor takes home: the masks in every format, the picture, the cut-outs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.export import FORMATS, safe_name
from fastsam.images.drawing import overlay, save_image
from fastsam.page.photo.messages import selected_picture
from fastsam.page.photo.state import Visit, answer_of
from fastsam.result import Result

__all__ = ["CHOICES", "take_home"]

_PICTURES = {
    "view": "Picture as shown (PNG)",
    "cutouts": "Each mask cut out (PNGs)",
}
CHOICES = [(words, name) for name, words in _PICTURES.items()]
CHOICES += [(f"Masks: {row.name}", row.name) for row in FORMATS.values()]
"""What can be taken home, as (words, name)."""


def take_home(visit: Visit, what: str, folder: Path) -> Path:
    """Write what is shown, at the photo's own size, as one file in a folder, and return it.

    Args:
        visit: whose.
        what: a name of :data:`CHOICES`.
        folder: where to write.

    Raises:
        PromptError: no photo is open, or no mask is shown.
        ExportError: unknown format, or the folder cannot be written.
    """
    session = visit.opened
    answer = answer_of(visit)
    if len(answer.result) == 0:
        raise PromptError("There is no mask to take home; clear the prompts, or lower conf.")
    name = safe_name(session.frame.name)
    if what == "view":
        if visit.view.kind == "masks":
            return save_image(_drawn(visit, answer.result), folder / f"{name}_masks.png")
        picture = selected_picture(session, answer, visit.view)
        return save_image(picture, folder / f"{name}_{visit.view.kind}.png")
    if what == "cutouts":
        whole = folder / "cutouts"
        files = [
            save_image(picture, whole / f"{name}_{row:03d}.png")
            for row, picture in zip(answer.result.indices.tolist(), answer.result.cutouts(), strict=True)
            if picture.size
        ]
        return _packed(folder / f"{name}_cutouts.zip", files, whole)
    files = answer.result.export(folder / "masks", what)
    return _packed(folder / f"{name}_{what}.zip", files, folder / "masks")


def _drawn(visit: Visit, result: Result) -> NDArray[np.uint8]:
    return overlay(
        visit.opened.frame, result.masks, visit.look, labels=result.labels, rows=result.indices.tolist()
    )


def _packed(target: Path, files: list[Path], root: Path) -> Path:
    """Write files into one zip, by their names under a folder."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(root))
    return target
