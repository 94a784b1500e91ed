"""Call sequences of programs that were written for Segment Anything, typed anew (docs/moving-over.md).

Each runs twice: with the real package and random weights, which shows what types and shapes programs meet,
and with ours, whose answers must have the same and be right: masks that the network finds in the photo.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import fastsam
from fastsam.compat import segment_anything as ours
from tests.compat.conftest import BUS, MAN, SIZE, box_iou, iou

CLICK, LABEL = np.array([[75, 300]]), np.array([1])
NAMES = (
    "automatic_mask_generator", "build_sam", "modeling", "modeling.sam", "predictor", "utils.amg",
    "utils.transforms",
)  # fmt: skip


def tiny_sam(sam: ModuleType) -> Any:
    """SAM as its package builds it, but with one narrow layer and random weights."""
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer

    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        depth=1, embed_dim=32, img_size=1024, mlp_ratio=1, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=2, patch_size=16, qkv_bias=True, use_rel_pos=True, window_size=14, out_chans=256,
    )  # fmt: skip
    prompts = PromptEncoder(
        embed_dim=256, image_embedding_size=(64, 64), input_image_size=(1024, 1024), mask_in_chans=16
    )
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=64, num_heads=8)
    decoder = MaskDecoder(
        num_multimask_outputs=3, transformer=transformer, transformer_dim=256, iou_head_depth=3,
        iou_head_hidden_dim=256,
    )  # fmt: skip
    means = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    return sam.modeling.Sam(encoder, prompts, decoder, *means).eval()


class Desk:
    """What a program finds: the package under either name, a registry that gives its model, and the photo."""

    def __init__(
        self, package: ModuleType, model: Any, photo: np.ndarray, right: torch.Tensor | None
    ) -> None:
        self.package, self.photo, self.right = package, photo.copy(), right
        self.registry = {"vit_h": lambda checkpoint=None: model}
        self.seen: list[Any] = []

    def sam(self) -> Any:
        return self.registry["vit_h"](checkpoint=None)

    def predictor(self) -> Any:
        made = self.package.SamPredictor(self.sam())
        made.set_image(self.photo)
        return made

    def generator(self, **options: Any) -> Any:
        if self.right is None:  # a grid of one point, and nothing of what random weights find is left out
            options = {**options, "points_per_side": 1, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
            options.pop("crop_n_layers", None)
        return self.package.SamAutomaticMaskGenerator(self.sam(), **options)

    def note(self, *values: Any) -> None:
        """Note what came back, to be compared with what the other package gave."""
        self.seen += [form(value) for value in values]

    def right_box(self, mask: Any, box: list[int]) -> None:
        if self.right is not None:
            best = max(self.right, key=lambda their: box_iou(their, box))
            assert iou(mask, best) > 0.9

    def right_click(self, mask: Any) -> None:
        if self.right is not None:
            assert mask[CLICK[0, 1], CLICK[0, 0]]
            assert max(iou(mask, their) for their in self.right) > 0.9

    def right_everything(self, records: list[Any]) -> None:
        if self.right is not None:
            assert 5 <= len(records) <= 100  # tens of masks
            found = [max(iou(record["segmentation"], their) for their in self.right) for record in records]
            assert np.mean(found) > 0.9


def form(value: Any) -> Any:
    """Return what of a value programs rely on: its type, and of arrays dtype and shape."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return type(value).__name__, str(value.dtype), tuple(value.shape)
    if isinstance(value, dict):
        return {key: form(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value).__name__, [form(part) for part in value[:1]]
    return type(value).__name__


@pytest.fixture
def desk(quick: fastsam.FastSAM, photo: np.ndarray, their_masks: torch.Tensor) -> Desk:
    return Desk(ours, ours.build_sam(quick), photo, their_masks)


@pytest.fixture(scope="module")
def real() -> ModuleType:
    return pytest.importorskip("segment_anything", reason="the real package is not installed")


@pytest.fixture(scope="module")
def real_sam(real: ModuleType) -> Any:
    return tiny_sam(real)


def notebook_predictor(desk: Desk) -> None:
    predictor = desk.predictor()
    masks, scores, logits = predictor.predict(point_coords=CLICK, point_labels=LABEL, multimask_output=True)
    desk.note(masks, scores, logits)
    desk.right_click(masks[np.argmax(scores)])
    again, scores, logits = predictor.predict(
        point_coords=np.array([[75, 300], [70, 400]]),
        point_labels=np.array([1, 1]),
        mask_input=logits[np.argmax(scores), :, :][None, :, :],
        multimask_output=False,
    )
    desk.note(again, scores, logits)
    desk.right_click(again[0])
    masks, scores, _ = predictor.predict(None, None, box=np.array(MAN)[None, :], multimask_output=False)
    desk.note(masks, scores)
    desk.right_box(masks[0], MAN)


def notebook_boxes(desk: Desk) -> None:
    predictor = desk.predictor()
    boxes = torch.tensor([MAN, BUS], device=predictor.device)
    moved = predictor.transform.apply_boxes_torch(boxes, desk.photo.shape[:2])
    masks, scores, logits = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=moved, multimask_output=False
    )
    desk.note(moved, masks, scores, logits, predictor.device)
    desk.right_box(masks[0][0], MAN)
    desk.right_box(masks[1][0], BUS)


def notebook_generator(desk: Desk) -> None:
    generator = desk.generator(
        points_per_side=32, pred_iou_thresh=0.86, stability_score_thresh=0.92, min_mask_region_area=100
    )
    records = generator.generate(desk.photo)
    desk.note(records[0])
    desk.right_everything(sorted(records, key=lambda record: record["area"], reverse=True))


def amg_script(desk: Desk) -> None:
    records = desk.generator(output_mode="coco_rle").generate(desk.photo)
    desk.note(records[0])
    assert json.loads(json.dumps(records))[0]["segmentation"]["size"] == list(SIZE)


def defaults(desk: Desk) -> None:
    records = desk.generator().generate(desk.photo)
    desk.note(records[0])
    desk.right_everything(records)


def explicit_defaults(desk: Desk) -> None:
    options = {"points_per_side": 32, "pred_iou_thresh": 0.88, "stability_score_thresh": 0.95}
    desk.right_everything(desk.generator(**options).generate(desk.photo))


def orthomasker(desk: Desk) -> None:
    """Compares a field with a number of SAM's scale."""
    records = desk.generator().generate(desk.photo)
    kept = [record for record in records if record["stability_score"] * 100 >= 92]
    if desk.right is not None:
        assert len(kept) > 0.8 * len(records)


def track_anything(desk: Desk) -> None:
    model = desk.sam()
    model.to(device="cpu")
    predictor = desk.package.SamPredictor(model)
    with torch.no_grad():
        predictor.set_image(desk.photo)
        ask = {"point_coords": CLICK, "point_labels": LABEL}
        _, scores, logits = predictor.predict(**ask, multimask_output=True)
        logit = logits[np.argmax(scores), :, :]
        both, scores, logits = predictor.predict(**ask, mask_input=logit[None, :, :], multimask_output=True)
        only, scores, _ = predictor.predict(mask_input=logit[None, :, :], multimask_output=True)
    desk.note(both, only, logits)
    desk.right_click(both[0])
    desk.right_click(only[np.argmax(scores)])
    predictor.reset_image()
    assert not predictor.is_image_set


def seg_tracker(desk: Desk) -> None:
    generator = desk.generator(
        points_per_side=32, pred_iou_thresh=0.8, stability_score_thresh=0.9, crop_n_layers=0,
        crop_n_points_downscale_factor=1, min_mask_region_area=200,
    )  # fmt: skip
    records = generator.generate(np.ascontiguousarray(desk.photo))
    points = [record["point_coords"][0] for record in records]
    merged = np.zeros(records[0]["segmentation"].shape, np.uint8)
    for number, record in enumerate(records, 1):
        merged[record["segmentation"] == 1] = number
    desk.note(points[0], merged)
    generator.predictor.set_image(desk.photo)
    desk.note(generator.predictor.predict(CLICK, LABEL)[0])


def lang_sam(desk: Desk) -> None:
    predictor = desk.predictor()
    boxes = torch.tensor([MAN, BUS], dtype=torch.float32)
    moved = predictor.transform.apply_boxes_torch(boxes, desk.photo.shape[:2])
    masks, _, _ = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=moved.to(predictor.device), multimask_output=False
    )
    masks = masks.cpu().squeeze(1)
    desk.note(masks)
    desk.right_box(masks[1], BUS)


def grounded_sam(desk: Desk) -> None:
    predictor = desk.package.SamPredictor(desk.sam().to("cpu"))
    predictor.set_image(desk.photo)
    boxes = predictor.transform.apply_boxes_torch(torch.tensor([MAN]).float(), desk.photo.shape[:2]).to("cpu")
    masks, _, _ = predictor.predict_torch(None, None, boxes=boxes, multimask_output=False)
    desk.note([mask.cpu().numpy() for mask in masks])
    desk.right_box(masks[0][0], MAN)


def concept_graphs(desk: Desk) -> None:
    predictor = desk.package.SamPredictor(desk.sam())
    predictor.set_image(desk.photo)
    found = []
    for box in np.array([MAN, BUS], np.float32):
        masks, scores, _ = predictor.predict(box=box, multimask_output=True)
        found.append(masks[np.argmax(scores)])
    desk.note(np.array(found))
    desk.right_box(found[0], MAN)
    desk.right_box(found[1], BUS)


def impact_pack(desk: Desk) -> None:
    """A wrapper kept on the model; scores against .93, the best where none reaches it."""
    sam = desk.sam()
    sam.sam_wrapper = "wrapper"
    sam.to(device="cpu")
    predictor = desk.package.SamPredictor(sam)
    predictor.set_image(desk.photo, "RGB")
    masks, scores, _ = predictor.predict(
        point_coords=np.array([(73, 325)]), point_labels=np.array([1]), box=np.array([MAN])
    )
    chosen = [masks[k] for k in range(len(scores)) if scores[k] >= 0.93] or [masks[int(np.argmax(scores))]]
    desk.note(masks, scores)
    desk.right_box(chosen[0], MAN)
    del sam.sam_wrapper


def inpaint_anything(desk: Desk) -> None:
    """Keeps what it knows of one image while it looks at another."""
    predictor = desk.predictor()
    kept, size, scaled = predictor.features, predictor.original_size, predictor.input_size
    predictor.set_image(np.zeros((64, 64, 3), np.uint8))
    predictor.reset_image()
    predictor.features, predictor.original_size, predictor.input_size = kept, size, scaled
    predictor.is_image_set = True
    masks, scores, logits = predictor.predict(CLICK, LABEL, multimask_output=True)
    desk.note(masks, scores, logits, scaled)
    desk.right_click(masks[0])


def stretch(desk: Desk) -> None:
    predictor = desk.predictor()
    desk.note(*predictor.predict(point_coords=CLICK, point_labels=LABEL, multimask_output=True))
    desk.note(*predictor.predict(box=np.array(BUS), multimask_output=True))


def mobile_sam(desk: Desk) -> None:
    sam = desk.sam()
    sam.to(device="cpu")
    sam.eval()
    predictor = desk.package.SamPredictor(sam)
    predictor.set_image(desk.photo)
    points, labels = np.array([[75, 300], [200, 200]]), np.array([1, 0])
    masks, scores, _ = predictor.predict(points, labels, box=np.array(MAN), multimask_output=False)
    desk.note(masks, scores)
    desk.right_box(masks[0], MAN)


def napari(desk: Desk) -> None:
    """Keeps the logits of the last click, also of one on bare ground."""
    predictor, logits = desk.predictor(), None
    for point in ([402, 537], [75, 300]):
        masks, _, logits = predictor.predict(
            point_coords=np.array([point]), point_labels=LABEL, mask_input=logits, multimask_output=False
        )
        desk.note(masks, logits)
    desk.right_click(masks[0])


def borders(desk: Desk) -> None:
    """Clicks on the edge and past it, boxes without area: an answer of the usual form."""
    predictor = desk.predictor()
    for ask in (
        {"point_coords": np.array([[SIZE[1], 300]]), "point_labels": LABEL},
        {"point_coords": np.array([[-1, SIZE[0]]]), "point_labels": LABEL},
        {"box": np.array([10, 10, 10, 60])},
        {"box": np.array([SIZE[1], 0, SIZE[1] + 20, 30])},
    ):
        desk.note(*predictor.predict(**ask, multimask_output=False))


def scaled_by_hand(desk: Desk) -> None:
    """ResizeLongestSide and set_torch_image, then points in the scaled frame."""
    transforms = importlib.import_module(f"{desk.package.__name__}.utils.transforms")
    predictor = desk.package.SamPredictor(desk.sam())
    resize = transforms.ResizeLongestSide(1024)
    scaled = torch.as_tensor(resize.apply_image(desk.photo)).permute(2, 0, 1).contiguous()[None]
    predictor.set_torch_image(scaled, desk.photo.shape[:2])
    points = torch.as_tensor(resize.apply_coords(CLICK, desk.photo.shape[:2]))[None].float()
    masks, scores, _ = predictor.predict_torch(
        points, torch.ones(1, 1, dtype=torch.int), multimask_output=True
    )
    desk.note(scaled, points, masks, scores)
    if desk.right is not None:
        assert masks[0, 0, CLICK[0, 1], CLICK[0, 0]]


def batched_forward(desk: Desk) -> None:
    transforms = importlib.import_module(f"{desk.package.__name__}.utils.transforms")
    resize = transforms.ResizeLongestSide(1024)
    image = torch.as_tensor(resize.apply_image(desk.photo)).permute(2, 0, 1).contiguous()
    boxes = resize.apply_boxes_torch(torch.tensor([MAN, BUS]).float(), desk.photo.shape[:2])
    [output] = desk.sam()(
        [{"image": image, "boxes": boxes, "original_size": desk.photo.shape[:2]}], multimask_output=False
    )
    desk.note(output)


def submodules(desk: Desk) -> None:
    """Imports from inside the package, and a check of the model's class."""
    inside = [importlib.import_module(f"{desk.package.__name__}.{name}") for name in NAMES]
    assert isinstance(desk.sam(), inside[2].Sam)
    assert inside[1].sam_model_registry.keys() >= {"default", "vit_h", "vit_l", "vit_b"}
    assert inside[4].SamPredictor is desk.package.SamPredictor
    assert callable(desk.package.build_sam)
    sam = desk.sam()
    desk.note(sam.mask_threshold, sam.image_format, sam.device, sam.image_encoder.img_size)


PROGRAMS: list[Callable[[Desk], None]] = [
    notebook_predictor, notebook_boxes, notebook_generator, amg_script, defaults, explicit_defaults,
    orthomasker, track_anything, seg_tracker, lang_sam, grounded_sam, concept_graphs, impact_pack,
    inpaint_anything, stretch, mobile_sam, napari, borders, scaled_by_hand, batched_forward, submodules,
]  # fmt: skip


@pytest.fixture(scope="module")
def forms(real: ModuleType, real_sam: Any) -> Callable[..., list[Any]]:
    """Runs a program with the real package, and tells what it met."""

    def run(program: Callable[[Desk], None], photo: np.ndarray) -> list[Any]:
        desk = Desk(real, real_sam, photo, None)
        program(desk)
        return desk.seen

    return run


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_program_runs_and_is_right(
    program: Callable[[Desk], None], desk: Desk, photo: np.ndarray, forms: Callable[..., list[Any]]
) -> None:
    program(desk)
    assert desk.seen == forms(program, photo)
