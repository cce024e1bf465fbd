"""One file per learner, and the contract they share."""
