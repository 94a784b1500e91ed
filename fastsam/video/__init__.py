"""Video: frames -> masks with ids that stay; prompts at any frame (:mod:`fastsam.video.stream`)."""
