"""Attacks on the pipeline: files of a run damaged, recipes with extreme values; seeded and counted."""
