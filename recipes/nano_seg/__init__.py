"""How the embedded segmentation weights are trained: pack the data, fill in labels, fit, cool down."""
