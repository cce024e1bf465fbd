"""A run's card: what it is for, what it is made of and what is known of it, every figure from the run's own files."""
