"""A finished run as a folder that Kaggle runs offline: models, wheels, a notebook of a few lines."""
