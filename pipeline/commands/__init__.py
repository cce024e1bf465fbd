"""The verbs of the command line, a file per kind; each says what it takes and calls a stage."""
