"""What is missing in what a run learned from: values of each column, and images."""

from typing import Any

import numpy as np

from pipeline.report.finished import FinishedRun


def quality_figures(finished: FinishedRun) -> dict[str, Any]:
    """Shares of missing values, largest first, and lesions of which networks that see images said nothing."""
    train, table = finished.inputs.data.train, finished.table
    columns = [name for name in table.columns if name not in {*train.forbidden, train.task.target}]
    shares = {name: table[name].null_count() / table.height for name in columns}
    seeing = [model.name for model in finished.recipe.image_models if model.backbone != "none"]
    silent = [np.isnan(finished.image_columns[name].reshape(table.height, -1)).any(axis=1) for name in seeing]
    return {
        "lesions": table.height,
        "columns": len(columns),
        "missing": [
            {"column": name, "share": share} for name, share in sorted(shares.items(), key=lambda one: -one[1]) if share
        ],
        "missing_share": float(np.mean(list(shares.values()))),
        "without_image": int(np.any(silent, axis=0).sum()) if seeing else None,
    }
