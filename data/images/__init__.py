"""Images: where their bytes come from, how they are decoded, and the pack that every run shares."""
