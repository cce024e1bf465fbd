"""Scores: of a ranking, of calls, of probabilities; and their intervals over patients."""
