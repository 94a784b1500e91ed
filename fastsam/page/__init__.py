"""The page: open a photo, see everything in it, say what you want, take it home.

``layout`` puts the page together and ``serve`` serves it; ``visit`` is what one visitor asks for and gets, a
value without widgets; ``visitors`` bounds the memory of all of them; ``scene`` is what the browser is sent.
The canvas in the browser is ``web/``.
"""

from __future__ import annotations

from fastsam.page.photo.tab import build
from fastsam.page.serve import run_page, serve

__all__ = ["build", "run_page", "serve"]
