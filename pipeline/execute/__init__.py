"""Jobs: pieces of a run that any process can do, and the executors that have them done here or on a Ray cluster."""
