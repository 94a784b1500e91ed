"""Small words of the sentences that answers explain themselves with."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, noun: str) -> str:
    """Return a number and what is counted, in the singular or the plural.

    >>> counted(1, "mask"), counted(0, "mask"), counted(2, "foreground point")
    ('1 mask', '0 masks', '2 foreground points')
    """
    plural = noun + "es" if noun.endswith("x") else noun + "s"
    return f"{count} {noun if count == 1 else plural}"
