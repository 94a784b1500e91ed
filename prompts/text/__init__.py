"""Texts and labels: the text-image model, masked crops, vocabularies."""
