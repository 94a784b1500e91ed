"""Answers that are made where no mask is what a prompt means: evidence for each cell, added up.

:mod:`fastsam.prompts.solve.clicks` says what clicks do, :mod:`fastsam.prompts.solve.drawn` what boxes and
drawings do, :mod:`fastsam.prompts.solve.evidence` what counts as evidence.
"""
