"""CASIA's ``utils`` folder: ``tools`` and ``tools_gradio``, which its scripts and demos import."""
