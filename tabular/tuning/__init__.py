"""The search of a member's parameters with Optuna."""
