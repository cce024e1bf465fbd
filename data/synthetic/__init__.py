"""Synthetic twins: for every data set a small invented one in exactly its published files."""
