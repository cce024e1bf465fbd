"""What stage one does on a graphics card: is it right, what keeps the card waiting, and how long would it all take?

One command of a few minutes, `python -m benchmarks.gpu_check`. It needs `image_models` and `data` alone: no table, no
booster, no run folder.
"""
