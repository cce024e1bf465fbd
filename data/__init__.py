"""The problem: what is given, how it is split, how it is scored.

Import the modules by name (`from data.scores.scores import pauc`); this file imports nothing, so that
a machine with numpy alone can still open an image pack.
"""
