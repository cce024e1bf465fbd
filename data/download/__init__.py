"""Fetching published data: where they are, how a file comes over a connection that breaks, how it is checked."""
