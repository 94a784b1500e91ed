"""The small text-image model: see weights/fastsam-nano-text.md."""
