"""Small words: of the sentences that answers explain themselves with, and names of classes."""

from __future__ import annotations

from fastsam.errors import PromptError

__all__ = ["counted", "name_and_phrase"]


def counted(count: int, noun: str) -> str:
    """Return a number and what is counted, in the singular or the plural.

    >>> counted(1, "mask"), counted(0, "mask"), counted(2, "foreground point")
    ('1 mask', '0 masks', '2 foreground points')
    """
    plural = noun + "es" if noun.endswith("x") else noun + "s"
    return f"{count} {noun if count == 1 else plural}"


def name_and_phrase(text: str) -> tuple[str, str]:
    """Return what a class is called, and the words that it is looked for with.

    Raises:
        PromptError: an equals sign with nothing on one side of it.

    >>> name_and_phrase("person=a person"), name_and_phrase("a  dog")
    (('person', 'a person'), ('a dog', 'a dog'))
    """
    name, equals, phrase = (" ".join(part.split()) for part in text.partition("="))
    if not equals:
        return name, name
    if not name or not phrase:
        raise PromptError(f"text: expected NAME=WORDS, such as 'person=a person', got {text!r:.80}")
    return name, phrase
