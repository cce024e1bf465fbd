"""Networks of our own that see images, one class and one `NETWORK` a file."""
