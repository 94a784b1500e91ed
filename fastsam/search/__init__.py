"""Search: a folder's masks indexed once, asked by text or by reference as often as you like."""

from fastsam.search.found import write_found
from fastsam.search.index import Hit, Indexed, MaskIndex

__all__ = ["Hit", "Indexed", "MaskIndex", "write_found"]
