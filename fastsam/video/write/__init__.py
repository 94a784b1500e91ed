"""Outputs of a video run: films, label maps, records, and the run file that lets it resume."""
