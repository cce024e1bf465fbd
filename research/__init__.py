"""What studies the pipeline and is no part of it: published systems, planted leaks, a harness that kills."""
