"""Words that come with the package, and words from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastsam.errors import PromptError
from fastsam.prompts.text.vocabulary import VOCABULARIES, background, read_vocabulary, share_a_word, templates


@pytest.mark.parametrize(
    ("name", "least", "most"), [("coco", 80, 80), ("everyday", 500, 1200), ("stuff", 50, 200)]
)
def test_vocabularies_that_come_along(name: str, least: int, most: int) -> None:
    assert name in VOCABULARIES
    names = read_vocabulary(name)
    assert least <= len(names) <= most
    assert len({one.casefold() for one in names}) == len(names)
    assert all(one == one.strip() and one and "_" not in one for one in names)


def test_templates_take_a_text() -> None:
    assert len(templates()) >= 4
    assert all(form.count("{}") == 1 for form in templates())
    assert len(background()) > 30


def test_a_file_with_comments_and_a_list(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("# mine\n\n  red   car \ndog\nDog\nécole\n", encoding="utf-8")
    assert read_vocabulary(file) == read_vocabulary(str(file)) == ("red car", "dog", "école")
    assert read_vocabulary(["b", "a", "b"]) == ("b", "a")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("lvis", "expected one of coco, everyday, stuff, or a text file"),
        ("a\0b", "expected one of coco"),
        ([], "at least one name"),
        ([" "], "at least one name"),
        ([1], r"got \[1\]"),
        (None, "got None"),
        (5, "got 5"),
    ],
)
def test_what_is_no_vocabulary(value: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        read_vocabulary(value)


def test_files_without_names_or_text(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("# nothing\n")
    with pytest.raises(PromptError, match="at least one name"):
        read_vocabulary(file)
    file.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(PromptError, match="text file"):
        read_vocabulary(file)
    with pytest.raises(PromptError, match="directory"):
        read_vocabulary(tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ("a dog", "the Dogs", True),
        ("red cars", "a car", True),
        ("glass of water", "water", True),
        ("a dog", "a hot day", False),
        ("a", "a", False),
        ("", "x", False),
        ("t-shirt", "shirt", True),
    ],
)
def test_shared_words(first: str, second: str, wanted: bool) -> None:
    assert share_a_word(first, second) is share_a_word(second, first) is wanted
