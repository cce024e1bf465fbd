"""Kill a run at chosen moments, let it go on, and compare every byte."""
