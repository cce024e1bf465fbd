"""One short file per kind of step: how it is made from a recipe, and the function that does its work."""
