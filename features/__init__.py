"""Metadata to numbers: every engineered feature, and what is fitted on the training part of a fold."""
