"""Search: index the masks of a folder once, then search by text or reference as often as you like."""

from fastsam.search.index import Hit, Indexed, MaskIndex
from fastsam.search.results import write_hits

__all__ = ["Hit", "Indexed", "MaskIndex", "write_hits"]
