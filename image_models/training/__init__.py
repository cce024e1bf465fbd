"""Training a network: batches, optimiser, schedule, and state that resumes to the bit."""
