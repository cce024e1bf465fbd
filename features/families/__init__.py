"""One function per feature family, and the families by name."""
