"""Words: vocabularies that come with the package or from a file, sentences that a text is put into."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

from fastsam.errors import PromptError
from fastsam.prompts.wording import name_and_phrase
from fastsam.untrusted import read_text

__all__ = ["VOCABULARIES", "background", "read_classes", "read_vocabulary", "share_a_word", "templates"]

VOCABULARIES = ("coco", "everyday", "stuff")
_EMPTY_WORDS = frozenset((
    "a", "an", "and", "any", "at", "by", "for", "from", "in", "into",
    "is", "it", "of", "on", "one", "or", "some", "that", "the", "there", "this", "to", "with",
))  # fmt: skip


def read_vocabulary(names: str | Path | Sequence[str]) -> tuple[str, ...]:
    """Return the words of a vocabulary that masks are compared with, each once.

    Args:
        names: ``"coco"``, ``"everyday"``, ``"stuff"``, the path of a text file with a name a line (empty
            lines and lines that start with ``#`` do not count), or the names themselves. ``person=a person``
            is compared as ``a person`` and called ``person`` (:func:`read_classes`).

    Raises:
        PromptError: no such vocabulary or file, or there are no names in it.

    >>> read_vocabulary("coco")[:3]
    ('person', 'bicycle', 'car')
    """
    return tuple(phrase for _, phrase in read_classes(names))


def read_classes(names: str | Path | Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the classes of a vocabulary as (name, words to compare with); several words may share a name.

    Args:
        names: as in :func:`read_vocabulary`.

    Raises:
        PromptError: as :func:`read_vocabulary`.

    >>> read_classes(["person=a person", "dog"])
    (('person', 'a person'), ('dog', 'dog'))
    """
    if isinstance(names, (str, os.PathLike)):
        what = f"vocabulary {str(names)!r}"
        phrases = _preset(str(names)) if str(names) in VOCABULARIES else _lines(_read(Path(names)))
    elif isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
        what, phrases = "vocabulary", _lines("\n".join(names))
    else:
        raise PromptError(f"vocabulary: expected a name, a path or a list of names, got {names!r}")
    if not phrases:
        raise PromptError(f"{what}: expected at least one name, one a line, got none")
    pairs: dict[str, tuple[str, str]] = {}
    for line in phrases:
        name, phrase = name_and_phrase(line)
        pairs.setdefault(phrase.casefold(), (name, phrase))
    return tuple(pairs.values())


@lru_cache(maxsize=1)
def templates() -> tuple[str, ...]:
    """Return the sentences that a text is put into, at ``{}``."""
    return _preset("templates")


@lru_cache(maxsize=1)
def background() -> tuple[str, ...]:
    """Return what a text competes with."""
    return tuple(_background())


def share_a_word(first: str, second: str) -> bool:
    """Return whether two phrases name the same thing in part; plurals count as their singular.

    Where the second is one of :func:`background`, the words that presets/background.txt gives it count too.

    >>> share_a_word("two red cars", "a car"), share_a_word("a dog", "a cat")
    (True, False)
    >>> share_a_word("an animal", "a dog")
    True
    """
    return not _words(first).isdisjoint(_words(f"{second} {_background().get(second, '')}"))


@lru_cache(maxsize=1)
def _background() -> dict[str, str]:
    """Return the phrases of presets/background.txt with their other words."""
    entries = (line.partition(":") for line in _preset("background"))
    return {phrase.strip(): words for phrase, _, words in entries}


@lru_cache(maxsize=4096)
def _words(phrase: str) -> frozenset[str]:
    words = re.findall(r"\w+", phrase.casefold())
    return frozenset(word.removesuffix("s") for word in words if word not in _EMPTY_WORDS)


def _preset(name: str) -> tuple[str, ...]:
    path = resources.files("fastsam.prompts.text") / "presets" / f"{name}.txt"
    return _lines(path.read_text(encoding="utf-8"))


def _read(path: Path) -> str:
    try:
        return read_text(path.expanduser(), "vocabulary", PromptError)
    except (PromptError, ValueError) as error:  # ValueError: a null byte in the path
        reason = error.problem if isinstance(error, PromptError) else str(error)
        raise PromptError(
            f"vocabulary {str(path)!r}: expected one of {', '.join(VOCABULARIES)}, or a text file with a "
            f"name a line ({reason})"
        ) from error


def _lines(text: str) -> tuple[str, ...]:
    """Return the lines that say something, the first of each that differ only in case."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    by_key: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith("#"):
            by_key.setdefault(line.casefold(), line)
    return tuple(by_key.values())
