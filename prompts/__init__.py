"""Stage two, training-free: masks and a prompt become a selection. No torch.

Works on the masks of any segmenter: ``select(MaskSet.from_dense(masks), Box([0, 0, 9, 9]))``.
"""

from prompts.parse import parse_box, parse_point, prompt_from_json
from prompts.reference_spec import Example, Look
from prompts.selection import select
from prompts.spec import (
    AllOf,
    AnyOf,
    Box,
    ButNot,
    MaskLike,
    ObjectPoints,
    Points,
    Position,
    Prompt,
    Reference,
    Text,
    all_of,
    any_of,
    but_not,
)
from prompts.text import ImageFeatures

__all__ = [
    "AllOf",
    "AnyOf",
    "Box",
    "ButNot",
    "Example",
    "ImageFeatures",
    "Look",
    "MaskLike",
    "ObjectPoints",
    "Points",
    "Position",
    "Prompt",
    "Reference",
    "Text",
    "all_of",
    "any_of",
    "but_not",
    "parse_box",
    "parse_point",
    "prompt_from_json",
    "select",
]
