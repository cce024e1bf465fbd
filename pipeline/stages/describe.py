"""Print the engineered features of a recipe: what each is, its unit, its family, how often it is missing."""

from rich.table import Table

from features.describe import describe
from pipeline.stages.features import features_of
from pipeline.stages.oof import image_scores
from pipeline.workspace import Workspace


def print_features(space: Workspace) -> None:
    """Build the training table's features and describe them; image scores are taken when stage one is done."""
    scores = None
    if (space.run_dir / "oof" / "oof.parquet").is_file():
        scores = image_scores(space, "oof.parquet")
    elif space.recipe.image_models:
        space.display.warn("stage one has not run, so features of image scores are left out (make oof)")
    table = features_of(space, space.data.train, scores, f"{len(space.data.train.ids):,} lesions")
    shown = Table(title=f"{len(table.features)} features")
    rows = describe(table)
    for name in rows.columns:
        shown.add_column(name.replace("_", " "), overflow="fold")
    for row in rows.iter_rows():
        shown.add_row(*(f"{value:.2%}" if isinstance(value, float) else str(value) for value in row))
    space.display.console.print(shown)
