"""What the text tower is taught to place: names, sentences made of them, definitions, captions."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from importlib import resources

from fastsam.prompts.text.vocabulary import background, read_vocabulary

COLOURS = (
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown",
)  # fmt: skip
SIZES = ("small", "large", "big", "tiny", "huge")
PLACES = (
    "on the left", "on the right", "in the middle", "at the top", "at the bottom", "in the background",
    "in the foreground",
)  # fmt: skip
QUALITIES = (
    "old", "new", "wooden", "metal", "plastic", "glass", "round", "long", "striped", "broken", "open",
    "young", "wet", "shiny", "dirty", "empty",
)  # fmt: skip
SENTENCES = (
    "{}", "a {}", "the {}", "one {}", "a photo of a {}.", "a photo of the {}.", "a cropped photo of a {}.",
    "a close-up photo of a {}.", "a photo of one {}.", "a picture of {} on a plain background.",
    "there is {} in the scene.", "there is a {} in the scene.", "this is a {}", "an image of a {}",
    "all {}s", "a part of a {}", "a photo of {}.", "my {}", "many {}s", "{} outdoors", "{} in a room",
)  # fmt: skip


def imagenet_names() -> list[str]:
    """Return the first lemma of each of the 1,000 classes of ImageNet-1k, in its order."""
    lemmas = _table("imagenet_synset_to_lemma.txt")
    synsets = _lines("imagenet_synsets.txt")
    return [lemmas[synset].split(",")[0].strip() for synset in synsets]


def imagenet_lemmas() -> list[str]:
    """Return the names of the 21,841 classes of ImageNet, which are nouns that can be photographed."""
    found: dict[str, None] = {}
    for entry in _table("imagenet_synset_to_lemma.txt").values():
        found.update(dict.fromkeys(name.strip() for name in entry.split(",")))
    return list(found)


def imagenet_definitions() -> list[str]:
    """Return WordNet's definitions of them."""
    return list(_table("imagenet_synset_to_definition.txt").values())


def with_article(name: str) -> str:
    """Return a name after "a" or "an".

    >>> with_article("orange"), with_article("red car")
    ('an orange', 'a red car')
    """
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def described(name: str, rng: random.Random) -> str:
    """Return a name with a colour, a size, a quality or a place."""
    words = [rng.choice(COLOURS)] if rng.random() < 0.5 else []
    if rng.random() < 0.4:
        words.insert(0, rng.choice(SIZES + QUALITIES))
    place = f" {rng.choice(PLACES)}" if rng.random() < 0.2 else ""
    return f"{' '.join([*words, name])}{place}"


def corpus(captions: Sequence[str], names: Sequence[str], seed: int = 0) -> list[str]:
    """Return the sentences, each once, in an order that does not change.

    Args:
        captions: of training photos.
        names: of categories; they appear in many sentences.
        seed: of the choice among sentences.
    """
    rng = random.Random(seed)
    return list(dict.fromkeys(_sentences(captions, names, rng)))


def _sentences(captions: Sequence[str], names: Sequence[str], rng: random.Random) -> Iterator[str]:
    vocabularies = [*read_vocabulary("everyday"), *read_vocabulary("stuff"), *read_vocabulary("coco")]
    common = list(dict.fromkeys([*names, *vocabularies, *imagenet_names()]))
    yield from background()
    yield from common
    for name in common:
        for sentence in SENTENCES:
            yield sentence.format(name)
        for _ in range(12):
            yield rng.choice(SENTENCES[:8]).format(described(name, rng))
    for other in background():
        for sentence in SENTENCES:
            yield sentence.format(other)
    for name in imagenet_lemmas():
        yield name
        yield rng.choice(SENTENCES[1:]).format(name)
        if rng.random() < 0.3:
            yield described(name, rng)
    yield from imagenet_definitions()[::4]
    yield from captions
    for _ in range(20_000):  # two things at once
        joint = rng.choice(("and", "on", "next to", "with", "in front of", "under", "holding", "without"))
        yield f"{with_article(rng.choice(common))} {joint} {with_article(rng.choice(common))}"


def _lines(name: str) -> list[str]:
    path = resources.files("timm.data") / "_info" / name
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line]


def _table(name: str) -> dict[str, str]:
    pairs = (line.split("\t", 1) for line in _lines(name))
    return {synset: text.strip() for synset, text in pairs}
