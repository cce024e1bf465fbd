"""The published systems, the protocols they are measured by, and the comparison of all on one data set."""
