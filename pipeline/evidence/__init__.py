"""What a finished run's score rests on, and whether it holds elsewhere: inputs, clinics, other data, worse pictures."""
