"""A cohort like SLICE-3D, drawn from a seed and written in the files Kaggle publishes."""
