"""`python -m fusionnetx` is `fusionnetx`."""

from fusionnetx.cli import main

main()
