"""Leaks planted on purpose, to see whether the audit finds them."""
