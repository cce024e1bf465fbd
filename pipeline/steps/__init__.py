"""One short file per stage."""
