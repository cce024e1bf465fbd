"""Skin-lesion malignancy from many small images and a table."""
