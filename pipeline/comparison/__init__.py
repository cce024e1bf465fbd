"""Runs side by side: scores, paired differences where the lesions are the same, seconds, recipe keys that differ."""
