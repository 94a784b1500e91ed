"""Measuring: class-agnostic recall, prompts on ground truth, boundaries; resumable runs and reports."""
