"""Whether a run is whole, and what differs between two."""
