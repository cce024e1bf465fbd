"""The report of a finished run: figures into metrics.json, then one self-contained HTML file drawn from them."""
