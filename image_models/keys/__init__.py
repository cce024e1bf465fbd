"""The keys of an image model in groups, each a small frozen dataclass that checks itself; `recipe.py` joins them."""
