"""The ablation study: what each part of a finished run brings, by running stage two again without it."""
