"""What comes from files and requests: one reader of JSON, and how much of anything is taken.

Each limit is a field of :class:`Limits`. ``FASTSAM_MAX_POINTS=50000`` in the environment changes ``points``
for a whole process, :func:`set_limits` from within it. What is above a limit is refused before work starts
on it.
"""

from __future__ import annotations

import json
import math
import os
import reprlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from fastsam.errors import ConfigError, FastSAMError, InputError, check_one_of

__all__ = [
    "MALFORMED",
    "Limits",
    "at_most",
    "length",
    "limits",
    "number",
    "read_json",
    "read_text",
    "set_limits",
    "short",
    "whole",
]

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""What taking parsed JSON apart may raise: ``1e999`` is OverflowError, deep nesting RecursionError."""

_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 80
_SHOWN.maxlong, _SHOWN.maxlevel = 40, 3
_WALKED_BYTES = 1 << 20  # whose depth is counted; of longer files only the parser's own limit holds
_PREFIX = "FASTSAM_MAX_"


@dataclass(frozen=True)
class Limits:
    """How much of anything is taken from a file or a request.

    Attributes:
        points: clicks of one prompt.
        boxes: boxes of one prompt.
        corners: of one polygon or stroke of a prompt.
        texts: of one prompt, its negatives counted along.
        characters: of one text.
        depth: how deep JSON, and prompts made of prompts, may be nested.
        json_bytes: of one JSON file.
        prompt_bytes: of one prompt as JSON.
        mask_pixels: of one mask given as RLE.
        side_px: of an image; PNG and TIFF could claim billions.
        image_pixels: of an image or a frame of a video, where ``max_pixels`` is not given.
        decoded_bytes: what decoding an image may take, estimated before it starts.
    """

    points: int = 10_000
    boxes: int = 10_000
    corners: int = 10_000
    texts: int = 10_000
    characters: int = 2_000
    depth: int = 64
    json_bytes: int = 4 << 30
    prompt_bytes: int = 4 << 20
    mask_pixels: int = 1 << 30
    side_px: int = 500_000
    image_pixels: int = 178_956_970  # PIL's own limit, half a GiB of RGB
    decoded_bytes: int = 2 << 30

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            ConfigError: one is no whole number of at least 1.
        """
        for spec in fields(self):
            value = getattr(self, spec.name)
            if type(value) is not int or value < 1:
                raise ConfigError(
                    f"limit {spec.name}: expected a whole number of at least 1, got {short(value)}"
                )


_in_force: list[Limits] = []


def limits() -> Limits:
    """Return the limits in force.

    Raises:
        ConfigError: a variable of the environment is no limit.
    """
    if not _in_force:
        given = {}
        for spec in fields(Limits):
            text = os.environ.get(f"{_PREFIX}{spec.name.upper()}", "").strip()
            if text:
                given[spec.name] = int(text) if text.isascii() and text.isdigit() else text
        _in_force.append(Limits(**given))  # type: ignore[arg-type]  # what is no number, it refuses
    return _in_force[-1]


def set_limits(**changes: int) -> Limits:
    """Change limits for this process, and return those that were in force before.

    Raises:
        ConfigError: no such limit, or no whole number of at least 1.

    >>> before = set_limits(points=3)
    >>> set_limits(points=before.points).points
    3
    """
    before = limits()
    known = [spec.name for spec in fields(Limits)]
    for name in changes:
        check_one_of(name, known, "limit", ConfigError)
    _in_force[:] = [replace(before, **changes)]
    return before


def short(value: Any) -> str:
    """Return a value for a message; a huge or endless one is cut before it is printed.

    >>> short("a" * 100)[:12], len(short([[[[[1]]]]] * 10**6)) < 200
    ("'aaaaaaaaaaa", True)
    """
    try:
        return _SHOWN.repr(value)
    except Exception:  # a repr of somebody's own may raise anything
        return type(value).__name__


def at_most(count: int, limit: str, what: str, to: type[FastSAMError] = InputError) -> None:
    """Refuse what is above a limit.

    Args:
        count: how many there are.
        limit: the field of :class:`Limits`.
        what: what is counted, for the message.
        to: the class of the error.

    Raises:
        FastSAMError: of the class ``to``.
    """
    most = getattr(limits(), limit)
    if count > most:
        raise to(
            f"expected at most {most:,} {what}, got {count:,}",
            advice=f"{_PREFIX}{limit.upper()} in the environment raises the limit",
        )


def length(value: Any) -> int:
    """Return how many parts a value has; 0 for what has none, such as an array without axes."""
    try:
        return len(value)
    except TypeError:
        return 0


def whole(value: Any, what: str, low: int, high: int) -> int:
    """Return a whole number of JSON, checked.

    Raises:
        InputError: it is not a number, or outside its range.

    >>> whole(3.0, "height", 1, 10)
    3
    """
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"{what}: expected a whole number from {low} to {high}, got {short(value)}")
    return value


def number(value: Any, what: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number of JSON, checked.

    Raises:
        InputError: it is not a number, or outside its range.
    """
    if type(value) in (int, float):
        try:
            parsed = float(value)
        except OverflowError:
            parsed = math.inf
        if math.isfinite(parsed) and low <= parsed <= high:
            return parsed
    span = "" if math.isinf(low) and math.isinf(high) else f" from {low:g} to {high:g}"
    raise InputError(f"{what}: expected a finite number{span}, got {short(value)}")


def read_text(path: Path, what: str, to: type[FastSAMError] = InputError) -> str:
    """Return a text file: UTF-8, or UTF-16 or -32 with its byte-order mark, which is left out.

    Raises:
        FastSAMError: of the class ``to``; there is no such file, or it is in another encoding.
    """
    try:
        content = path.read_bytes()
        encoding = json.detect_encoding(content) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        return content.decode(encoding)
    except OSError as error:
        reason = error.strerror or str(error)
        raise to(f"cannot be read ({reason})", subject=f"{what} {path}", path=path) from error
    except UnicodeDecodeError as error:
        raise to(
            f"expected text in UTF-8, byte {error.start} is not valid",
            subject=f"{what} {path}",
            advice="save it as UTF-8",
            path=path,
        ) from error


def read_json(source: bytes | str | Path, what: str = "JSON", to: type[FastSAMError] = InputError) -> Any:
    """Return parsed JSON: of a file, or of the bytes or the text of a request.

    Byte-order marks and UTF-16 are read. NaN and Infinity are refused, and numbers too large for a float.

    Args:
        source: a path, bytes or text.
        what: what it is, for messages.
        to: the class of errors.

    Raises:
        FastSAMError: of the class ``to``; it is no JSON, or larger or deeper than the limits.

    >>> read_json('{"a": [1]}')
    {'a': [1]}
    """
    name, path = (f"{what} {source}", source) if isinstance(source, Path) else (what, None)
    try:
        if isinstance(source, Path):
            at_most(source.stat().st_size, "json_bytes", "bytes", to)
            source = source.read_bytes()
        at_most(len(source), "json_bytes", "bytes", to)
        small = len(source) <= _WALKED_BYTES
        parsed = json.loads(source, parse_constant=_refuse, parse_float=_finite if small else None)
        if small:
            _check_depth(parsed, to)
    except FastSAMError as error:
        raise error.about(name, path) from error
    except RecursionError as error:
        raise to(f"is nested deeper than {limits().depth} levels", subject=name, path=path) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise to(f"cannot be read ({reason})", subject=name, path=path) from error
    except MemoryError as error:
        raise to("does not fit into memory", subject=name, path=path) from error
    except (ValueError, TypeError) as error:
        raise to(f"expected JSON ({short(str(error))[1:-1]})", subject=name, path=path) from error
    return parsed


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _check_depth(found: Any, to: type[FastSAMError]) -> None:
    """Refuse what is nested too deeply, level by level and so without recursion."""
    level, depth = [item for item in [found] if isinstance(item, (dict, list))], 0
    while level:
        depth += 1
        if depth > limits().depth:
            raise to(f"is nested deeper than {limits().depth} levels")
        inside: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inside += item.values()
            elif isinstance(item, list):
                inside += item
        level = [item for item in inside if isinstance(item, (dict, list))]
