"""Answers that are made where no mask is what the clicks mean: evidence for each cell, added up.

:mod:`fastsam.prompts.solve.clicks` says what clicks do, :mod:`fastsam.prompts.solve.evidence` what counts as
evidence.
"""
