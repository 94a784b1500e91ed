"""SAM 2's package over this one, with the same tree: a script changes one word.

``from fastsam.compat.sam2.build_sam import build_sam2`` instead of ``from sam2.build_sam import build_sam2``;
``sam2_image_predictor``, ``sam2_video_predictor`` and ``automatic_mask_generator`` are here too. SAM 2's
own weights cannot run here: the embedded ones, or a YOLO segmentation checkpoint that is named in their
place, answer.
"""
