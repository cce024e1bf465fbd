"""What the organisers of ISIC 2024 published of its winning model by classes of inputs, to stand beside a run's own."""

SOURCE = "the winning model of ISIC 2024 on the private part (Kurtansky et al., npj Digital Medicine 2025)"
DOI = "10.1038/s41746-025-02070-7"
METRICS = ("pauc", "auc", "nnt_80", "nnt_90", "se_top_15")

_ROWS = {
    "BWTP": (0.173, 0.967, 50.57, 98.20, 0.729),
    "BWT": (0.165, 0.956, 72.68, 145.72, 0.687),
    "BWP": (0.164, 0.957, 63.62, 167.16, 0.695),
    "BW": (0.152, 0.941, 111.34, 230.96, 0.646),
    "BTP": (0.161, 0.948, 97.79, 165.34, 0.597),
    "BT": (0.154, 0.937, 121.46, 206.42, 0.566),
    "WP": (0.157, 0.949, 85.36, 193.69, 0.644),
    "W": (0.150, 0.939, 111.41, 241.17, 0.657),
    "TP": (0.142, 0.923, 160.88, 306.20, 0.544),
    "T": (0.142, 0.922, 143.21, 308.64, 0.548),
}
PUBLISHED = {name: dict(zip(METRICS, figures, strict=True)) for name, figures in _ROWS.items()}
"""By the classes of inputs that a row has."""
