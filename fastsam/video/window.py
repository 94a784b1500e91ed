"""A window that shows frames and tells of clicks; OpenCV's on desktops."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import VideoError

__all__ = ["CvWindow", "Event", "Window", "why_no_window"]

_QUIT_KEYS = (ord("q"), ord("Q"), 27)  # Esc


@dataclass(frozen=True)
class Event:
    """What somebody did in a window.

    Attributes:
        kind: ``"add"`` (left click), ``"remove"`` (right click) or ``"quit"`` (q, Esc, or it was closed).
        x: pixels of the frame, from its left edge.
        y: from its upper edge.
    """

    kind: Literal["add", "remove", "quit"]
    x: float = 0.0
    y: float = 0.0


class Window(Protocol):
    """Shows frames."""

    def show(self, rgb: NDArray[np.uint8]) -> list[Event]:
        """Show an (H, W, 3) RGB picture and return what was done since the one before."""

    def close(self) -> None:
        """Take it away; may be called again."""


def why_no_window() -> str:
    """Return why this machine shows no window; empty where it does."""
    built = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    if built is None or built[1] == "NONE":
        return "this OpenCV is built without windows (opencv-python-headless); install opencv-python"
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not shown:
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    return ""


class CvWindow:
    """A window of OpenCV.

    Args:
        title: what stands above it.

    Raises:
        VideoError: this machine shows no window.
    """

    def __init__(self, title: str) -> None:
        trouble = why_no_window()  # asked before: Qt ends the whole program where it finds no display
        if trouble:
            raise VideoError(f"window: cannot be opened, {trouble}")
        self._title, self._events = title, list[Event]()
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.setMouseCallback(title, self._clicked)
        except cv2.error as error:
            raise VideoError(f"window: cannot be opened ({str(error).strip()[:200]})") from error
        self._sized = self._closed = False

    def _clicked(self, kind: int, x: int, y: int, flags: int, param: Any) -> None:
        """Take note of a click; OpenCV has mapped it to the picture."""
        names: dict[int, Literal["add", "remove"]] = {
            cv2.EVENT_LBUTTONDOWN: "add",
            cv2.EVENT_RBUTTONDOWN: "remove",
        }
        if kind in names:
            self._events.append(Event(names[kind], float(x), float(y)))

    def show(self, rgb: NDArray[np.uint8]) -> list[Event]:
        """Show a picture and return what was done since the one before."""
        if not self._sized:
            cv2.resizeWindow(self._title, rgb.shape[1], rgb.shape[0])
            self._sized = True
        cv2.imshow(self._title, np.ascontiguousarray(rgb[..., ::-1]))
        key = cv2.waitKey(1) & 0xFF
        closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        found, self._events = self._events, []
        return [*found, Event("quit")] if closed or key in _QUIT_KEYS else found

    def close(self) -> None:
        """Take the window away."""
        if not self._closed:
            self._closed = True
            with suppress(cv2.error):  # whoever watched has closed it already
                cv2.destroyWindow(self._title)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
