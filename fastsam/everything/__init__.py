"""Stage one: an image becomes all its instance masks, in one pass of a YOLO segmentation network."""
