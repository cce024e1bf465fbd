"""Readers: one file per data set, each with its `READER`, and what they share."""

from data.readers.reading import Reader
from data.registry import Registry

READERS: Registry[Reader] = Registry("data.readers", "READER", "reader")
"""Every reader by the name that recipes give it."""
