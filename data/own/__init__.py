"""A table of one's own, about which nothing is known yet: what its columns are, by what they hold."""
