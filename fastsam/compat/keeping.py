"""``save=True`` and ``show=True`` of ultralytics' calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam.errors import ExportError

if TYPE_CHECKING:
    from fastsam.compat.results import Results

__all__ = ["KEEPING", "Keeper"]

# What these keywords of a call say to `Results.plot`.
_DRAWN = {"line_width": "line_width", "show_boxes": "boxes", "show_conf": "conf", "show_labels": "labels"}
KEEPING = frozenset({
    "boxes", "exist_ok", "name", "project", "save", "save_conf", "save_crop", "save_dir", "save_txt", "show",
    *_DRAWN,
})  # fmt: skip
"""The keywords of a call that say what becomes of its results."""


class Keeper:
    """Writes and shows results as they come; the folder is made with the first of them.

    Args:
        keywords: those of a call. ``save``: write each result's picture; ``save_txt``, ``save_crop``: its
            polygons and cut-outs; ``show``: show it in a window; ``project``, ``name``, ``exist_ok`` and
            ``save_dir`` say where, and ``line_width``, ``show_boxes``, ``show_conf`` and ``show_labels`` how,
            as in ultralytics.
    """

    def __init__(self, keywords: Mapping[str, Any]) -> None:
        self._keywords = keywords
        self._drawn = {name: keywords[key] for key, name in _DRAWN.items() if keywords.get(key) is not None}
        if keywords.get("boxes") is not None:  # the name of older versions
            self._drawn.setdefault("boxes", keywords["boxes"])
        self._folder: Path | None = None

    def __call__(self, result: Results) -> Results:
        """Keep a result as it was asked for, and return it.

        Raises:
            ExportError: it cannot be written.
        """
        wants = {name for name in ("save", "save_txt", "save_crop", "show") if self._keywords.get(name)}
        if wants - {"show"}:
            folder = self._made_folder()
            try:
                self._write(result, folder, wants)
            except OSError as error:
                raise ExportError(f"save: {folder} cannot be written ({error.strerror or error})") from error
            result.save_dir = str(folder)  # type: ignore[assignment]
        if "show" in wants:
            result.show(**self._drawn)  # type: ignore[no-untyped-call]
        return result

    def _write(self, result: Results, folder: Path, wants: set[str]) -> None:
        name = Path(result.path).name
        stem = Path(name).stem if result.session.frame.t_ms is None else result.session.frame.name
        if "save" in wants:
            picture = name if Path(name).suffix and result.session.frame.t_ms is None else f"{stem}.jpg"
            result.save(str(folder / picture), **self._drawn)
        if "save_txt" in wants:
            (folder / "labels").mkdir(exist_ok=True)
            text = folder / "labels" / f"{stem}.txt"
            text.unlink(missing_ok=True)  # ultralytics adds to what is there
            result.save_txt(str(text), save_conf=bool(self._keywords.get("save_conf")))
        if "save_crop" in wants:
            result.save_crop(str(folder / "crops"), file_name=stem)

    def _made_folder(self) -> Path:
        if self._folder is None:
            from ultralytics.utils.files import increment_path

            given = self._keywords.get("save_dir")
            base = Path(self._keywords.get("project") or "runs/segment")
            path = Path(given) if given else base / str(self._keywords.get("name") or "predict")
            exist_ok = bool(given) or bool(self._keywords.get("exist_ok"))
            try:
                self._folder = Path(increment_path(path, exist_ok=exist_ok, mkdir=True))
            except OSError as error:
                raise ExportError(f"save: {path} cannot be made ({error.strerror or error})") from error
        return self._folder
