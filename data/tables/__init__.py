"""Tables of text: files as people have them, and every way in which one is not what it must be."""
