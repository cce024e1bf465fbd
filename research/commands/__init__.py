"""The verbs of what studies the pipeline."""
