"""Numbers to probabilities: boosters, resampling, cross-fitting, tuning and blending; knows nothing of images."""
