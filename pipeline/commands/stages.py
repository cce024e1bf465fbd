"""The verbs that do the work: stage one, stage two, the submission, and new patients."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import (
    DataOption,
    DevicesOption,
    ExecutorOption,
    RecipeOption,
    RunOption,
    SetOption,
    StorageOption,
    StoreOption,
    TensorBoardOption,
    example,
    finished_run,
    open_workspace,
)  # fmt: skip

commands = typer.Typer()


@commands.command(epilog=example("oof", "oof --recipe fusionnetx --data isic-2024/", "oof --dry-run"))
def oof(
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the jobs, sizes and exact schedules; train nothing.")
    ] = False,
    tensorboard: TensorBoardOption = False,
    executor: ExecutorOption = "local",
    store: StoreOption = None,
    devices: DevicesOption = 1,
) -> None:
    """Stage one: train every image model by fold and write out-of-fold probabilities."""
    from pipeline.steps.dry_run import print_plan
    from pipeline.steps.oof import run_oof

    with open_workspace(
        recipe,
        data,
        run,
        set_,
        tensorboard=tensorboard,
        executor=executor,
        store=store,
        devices=None if dry_run else devices,
        record=not dry_run,
    ) as space:
        (print_plan if dry_run else run_oof)(space)


@commands.command(
    epilog=example("tabular", "tabular --set tabular.blend.method=rank_mean", "tabular --set tabular.tune.trials=50")
)
def tabular(
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    storage: StorageOption = None,
    tensorboard: TensorBoardOption = False,
    executor: ExecutorOption = "local",
    store: StoreOption = None,
    devices: DevicesOption = 1,
) -> None:
    """Stage two: engineer features, train the boosters by fold, blend them out of fold."""
    from pipeline.steps.oof import run_oof
    from pipeline.steps.tabular import run_tabular

    with open_workspace(
        recipe,
        data,
        run,
        set_,
        storage=storage,
        tensorboard=tensorboard,
        executor=executor,
        store=store,
        devices=devices,
    ) as space:
        run_oof(space)
        run_tabular(space)


@commands.command(epilog=example("submission", "submission --recipe fusionnetx --data isic-2024/ --run first_try"))
def submission(
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    storage: StorageOption = None,
    tensorboard: TensorBoardOption = False,
    executor: ExecutorOption = "local",
    store: StoreOption = None,
    devices: DevicesOption = 1,
) -> None:
    """Run whatever is missing, write submission.csv and say what it scored."""
    from pipeline.steps.oof import run_oof
    from pipeline.steps.submission import run_submission
    from pipeline.steps.tabular import run_tabular

    with open_workspace(
        recipe,
        data,
        run,
        set_,
        storage=storage,
        tensorboard=tensorboard,
        executor=executor,
        store=store,
        devices=devices,
    ) as space:
        run_oof(space)
        run_tabular(space)
        run_submission(space)


@commands.command(
    epilog=example("predict --run runs/demo --metadata new.csv --images new-images/ --out predictions.csv")
)
def predict(
    metadata: Annotated[Path, typer.Option(help="CSV shaped like test-metadata.csv.")],
    out: Annotated[Path, typer.Option(help="The CSV to write: lesion id and probability.")],
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of images named by lesion id, or an HDF5 file of JPEGs, if the run's models see images."
        ),
    ] = None,
    run: Annotated[str, typer.Option("--run", help="Name or path of a finished run.")] = "demo",
) -> None:
    """Predict new patients with a finished run; no training data needed."""
    from pipeline.steps.predict import run_predict

    space = finished_run(run)
    with space.display.listening():
        run_predict(space, metadata, images, out)
