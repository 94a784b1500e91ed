"""The page: open a photo or a video, say what you want, download it.

``blocks`` puts the page together and ``serve`` serves it. ``photo`` and ``video`` are the two tabs: what one
visitor asks for and gets is a value without widgets (``state``, ``answer``, ``steps``), and ``tab`` connects
it to the widgets. ``shared`` is what both use. The canvas in the browser is ``web/``.
"""

from __future__ import annotations

from fastsam.page.blocks import build
from fastsam.page.serve import run_page, serve

__all__ = ["build", "run_page", "serve"]
