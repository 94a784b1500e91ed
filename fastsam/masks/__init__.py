"""Mask sets: on the network grid or as crops, how they nest, RLE and polygons, refinement."""
