"""The stages in order, the run folder they meet in, the recipe that describes them, and the command line."""
