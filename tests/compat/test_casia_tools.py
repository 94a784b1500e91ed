"""CASIA's ``utils.tools`` and ``utils.tools_gradio``: annotations, prompts on them, pictures."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
import torch
from PIL import Image

import fastsam
from fastsam.compat import FastSAM, FastSAMPrompt
from fastsam.compat.utils import tools, tools_gradio
from fastsam.errors import ConfigError, InputError, PromptError
from tests.compat.conftest import ASKED, BUS, SIZE, box_iou
from tests.compat.drawn import BAR, BIG, INNER, MASKS, PHOTO, core, rect

HEIGHT, WIDTH = MASKS.shape[1:]


def records() -> list[dict[str, Any]]:
    return tools.format_results(FastSAM(core())(PHOTO)[0])


def test_annotations_and_their_helpers() -> None:
    found = records()
    assert [one["area"] for one in found] == [2400, 400, 350]
    assert tools.get_bbox_from_mask(found[1]["segmentation"]) == list(INNER)
    assert tools.get_bbox_from_mask(np.zeros((4, 4))) == [0, 0, 0, 0]
    assert tools.convert_box_xywh_to_xyxy([1, 2, 30, 40]) == [1, 2, 31, 42]
    assert tools.convert_box_xywh_to_xyxy([[1, 2, 3, 4]]) == [[1, 2, 4, 6]]
    kept, gone = tools.filter_masks(found)
    assert ([one["area"] for one in kept], gone) == ([2400, 350], {1})


def test_pictures_of_annotations_are_white_around_their_boxes() -> None:
    pictures, boxes, _, small, _ = tools.crop_image(records(), Image.fromarray(PHOTO))
    assert (boxes, small) == ([list(BIG), list(INNER), list(BAR)], [])
    picture = np.asarray(pictures[1])
    np.testing.assert_array_equal(picture[20, 20], PHOTO[20, 20])
    assert (picture[~rect(INNER)] == 255).all()


def test_box_prompt_gives_a_mask_and_its_row() -> None:
    mask, row = tools.box_prompt(torch.from_numpy(MASKS).float(), list(INNER), HEIGHT, WIDTH)
    assert (mask.dtype, int(row)) == (np.float32, 1)
    np.testing.assert_array_equal(mask, MASKS[1])
    twice = [2 * edge for edge in BAR]  # the box is of an image twice as large as the masks
    assert int(tools.box_prompt(MASKS, twice, 2 * HEIGHT, 2 * WIDTH)[1]) == 2
    mask, row = tools.box_prompt(torch.zeros(0, HEIGHT, WIDTH), list(BIG), HEIGHT, WIDTH)
    assert (mask.shape, mask.any(), int(row)) == ((HEIGHT, WIDTH), False, -1)


def test_point_prompt_gives_a_mask_and_zero() -> None:
    mask, zero = tools.point_prompt(records(), [[75, 30]], [1], HEIGHT, WIDTH)
    assert (mask.dtype, zero) == (bool, 0)
    np.testing.assert_array_equal(mask, MASKS[2])
    assert not tools.point_prompt(records(), [[2, 2]], [1], HEIGHT, WIDTH)[0].any()
    plain = [{"segmentation": mask, "area": int(mask.sum())} for mask in MASKS]  # of a mask generator
    scaled = tools.point_prompt(plain, [[150, 60]], [1], 2 * HEIGHT, 2 * WIDTH)[0]
    np.testing.assert_array_equal(scaled, MASKS[2])


def test_text_prompt_takes_both_orders_of_arguments(photo_path: str, quick: fastsam.FastSAM) -> None:
    found = tools.format_results(FastSAM(quick)(photo_path, **ASKED)[0])
    mask, row = tools.text_prompt(found, "a bus", Image.open(photo_path), device="cpu", wider=False)
    assert box_iou(mask, BUS) > 0.6
    np.testing.assert_array_equal(mask, found[row]["segmentation"])
    old, _ = tools.text_prompt(found, Namespace(text_prompt="a bus", img_path=photo_path, device="cpu"))
    np.testing.assert_array_equal(old, mask)
    with pytest.raises(InputError, match="the image"):
        tools.text_prompt(found, "a bus")
    with pytest.raises(PromptError, match="got none"):
        tools.text_prompt([], "a bus", photo_path)


def test_fast_process_writes_a_file_named_as_the_photo(tmp_path: Path) -> None:
    source = tmp_path / "dog.png"
    Image.fromarray(PHOTO).save(source)
    args = Namespace(
        img_path=str(source),
        output=f"{tmp_path}/output/",
        better_quality=False,
        withContours=True,
        point_label=[1],
    )
    written = tools.fast_process(MASKS, args, True, bbox=list(BIG), points=[[WIDTH, HEIGHT]])
    assert written == tmp_path / "output" / "dog.png"
    with Image.open(written) as picture:
        assert picture.size == (WIDTH, HEIGHT)


def test_the_demos_picture() -> None:
    photo = Image.fromarray(PHOTO)
    options: dict[str, Any] = {"image": photo, "device": torch.device("cpu"), "scale": 1}
    shown = tools_gradio.fast_process(
        torch.from_numpy(MASKS).float(), mask_random_color=False, withContours=False, **options
    )
    assert (shown.mode, shown.size) == ("RGBA", photo.size)
    pixels = np.asarray(shown)[..., :3].astype(int)
    changed = (pixels != PHOTO).any(axis=-1)
    assert changed[MASKS.any(axis=0)].mean() > 0.95
    assert not changed[~MASKS.any(axis=0)].any()
    black = tools_gradio.fast_process(
        records(), better_quality=True, bwMask="white", withContours=False, **options
    )
    np.testing.assert_array_equal(np.asarray(black), MASKS.any(axis=0))


def test_masks_on_axes() -> None:
    axes = matplotlib.figure.Figure().gca()
    prompt = FastSAMPrompt(PHOTO, FastSAM(core())(PHOTO))
    layer = prompt.fast_show_mask_gpu(
        prompt.everything_prompt(), axes, bboxes=[list(BIG)], points=[[20, 20], [1, 1]], pointlabel=[1, 0]
    )
    assert (layer.shape, layer[30, 30].tolist()) == ((*PHOTO.shape[:2], 4), [30 / 255, 144 / 255, 1, 0.6])
    assert (len(axes.images), len(axes.patches), len(axes.collections)) == (1, 1, 2)
    small = tools_gradio.fast_show_mask(MASKS, axes, retinamask=False, target_height=30, target_width=40)
    assert small.shape == (30, 40, 4)


def test_clips_functions_say_what_to_do() -> None:
    with pytest.raises(ConfigError, match="text_prompt"):
        tools.retriev(None, None, [], "a dog", "cpu")
    with pytest.raises(ConfigError, match="text_prompt"):
        FastSAMPrompt(PHOTO, FastSAM(core())(PHOTO)).retrieve(None, None, [], "a dog", "cpu")


def test_the_old_names_of_a_prompt(photo_path: str, quick: fastsam.FastSAM) -> None:
    prompt = FastSAMPrompt(img_path=photo_path, results=FastSAM(quick)(photo_path, **ASKED), device="cpu")
    assert (prompt.img_path, prompt.ori_img.shape) == (photo_path, (*SIZE, 3))
    np.testing.assert_array_equal(prompt.ori_img, prompt.img[..., ::-1])
