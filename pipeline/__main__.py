"""`python -m pipeline` is `fusionnetx`."""

from pipeline.cli import main

main()
