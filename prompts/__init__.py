"""Stage two, training-free: masks and a prompt become a selection. No torch.

Works on the masks of any segmenter: ``select(MaskSet.from_dense(masks), Box([0, 0, 9, 9]))``.
"""

from fastsam.prompts.json_form import parse_box, parse_point, prompt_from_json, prompt_to_json
from fastsam.prompts.reference_spec import Appearance, Example
from fastsam.prompts.selection import select
from fastsam.prompts.shorthand import as_prompt, prompt_of
from fastsam.prompts.spec import (
    AllOf,
    AnyOf,
    Box,
    ButNot,
    Mask,
    MaskLike,
    ObjectPoints,
    Point,
    Points,
    Position,
    Prompt,
    Reference,
    Text,
    all_of,
    any_of,
    but_not,
)
from fastsam.prompts.text.matching import ImageFeatures

__all__ = [
    "AllOf",
    "AnyOf",
    "Appearance",
    "Box",
    "ButNot",
    "Example",
    "ImageFeatures",
    "Mask",
    "MaskLike",
    "ObjectPoints",
    "Point",
    "Points",
    "Position",
    "Prompt",
    "Reference",
    "Text",
    "all_of",
    "any_of",
    "as_prompt",
    "but_not",
    "parse_box",
    "parse_point",
    "prompt_from_json",
    "prompt_of",
    "prompt_to_json",
    "select",
]
