"""``segment_anything.utils``: what scripts use of it."""
