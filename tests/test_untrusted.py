"""Limits, and the one reader of JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastsam import untrusted
from fastsam.errors import ConfigError, DatasetError, InputError
from fastsam.untrusted import at_most, number, read_json, read_text, set_limits, short, whole


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "expected JSON"),
        ('{"a": 1e999}', "too large a number"),
        ('{"a": NaN}', "NaN is no number"),
        ("-Infinity", "is no number"),
        ("[" * 70 + "]" * 70, "deeper than 64 levels"),
        ("[" * 200_000, "deeper than 64 levels"),
        ('{"a":' * 70 + "1" + "}" * 70, "deeper than 64 levels"),
        ("9" * 5_000, "expected JSON"),
        (b"\xff\x00\x12", "expected JSON"),
        ('"' + "a" * 10_000, "expected JSON"),
    ],
)
def test_what_is_not_taken(content: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_json(content, "prompt")
    assert len(str(caught.value)) < 400
    path = tmp_path / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DatasetError, match=said) as told:
        read_json(path, "dataset", DatasetError)
    assert told.value.path == str(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_of_json(encoding: str) -> None:
    assert read_json('{"ü": [1, 2.5, null]}'.encode(encoding)) == {"ü": [1, 2.5, None]}


def test_size_and_depth_are_limits_that_can_be_moved() -> None:
    before = set_limits(depth=3, json_bytes=20)
    try:
        assert read_json("[[[1]]]") == [[[1]]]
        with pytest.raises(InputError, match="deeper than 3"):
            read_json("[[[[1]]]]")
        with pytest.raises(InputError, match=r"at most 20 bytes, got 30; FASTSAM_MAX_JSON_BYTES"):
            read_json(" " * 30)
    finally:
        set_limits(depth=before.depth, json_bytes=before.json_bytes)


def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "_in_force", [])
    monkeypatch.setenv("FASTSAM_MAX_POINTS", "7")
    assert untrusted.limits().points == 7
    with pytest.raises(InputError, match=r"at most 7 points, got 8; FASTSAM_MAX_POINTS"):
        at_most(8, "points", "points")
    at_most(7, "points", "points")
    monkeypatch.setattr(untrusted, "_in_force", [])
    monkeypatch.setenv("FASTSAM_MAX_POINTS", "many")
    with pytest.raises(ConfigError, match="points: expected a whole number"):
        untrusted.limits()
    monkeypatch.delenv("FASTSAM_MAX_POINTS")
    with pytest.raises(ConfigError, match="expected one of points"):
        set_limits(pints=3)


@pytest.mark.parametrize("value", ["3", None, True, 2.5, float("inf"), 10**400, [1], 11, -1])
def test_numbers_are_checked(value: Any) -> None:
    with pytest.raises(InputError, match="height: expected a whole number from 0 to 10"):
        whole(value, "height", 0, 10)
    if value not in (2.5,):
        with pytest.raises(InputError, match="height: expected a finite number"):
            number(value, "height", 0, 10)
    assert (whole(10, "height", 0, 10), whole(3.0, "height", 0, 10), number(2.5, "x")) == (10, 3, 2.5)


def test_an_endless_value_is_cut_before_it_is_printed() -> None:
    doubled: Any = ()
    for _ in range(60):
        doubled = (doubled, doubled)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in (doubled, deep, "a" * 10**7, list(range(10**6)), {"a" * 10**6: 1}, 10**4000):
        assert len(short(value)) < 1_000

    class Loud:
        def __repr__(self) -> str:
            raise ValueError

    assert "Loud" in short(Loud())
    while deep:  # so that freeing it does not recurse
        deep = deep.pop()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_with_byte_order_marks(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("cät\ndog".encode(encoding))
    assert read_text(path, "names") == "cät\ndog"


def test_text_of_another_encoding_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("cät".encode("latin1"))
    with pytest.raises(InputError, match=r"byte 1 is not valid; save it as UTF-8"):
        read_text(path, "names")
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path, "names")
