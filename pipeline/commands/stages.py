"""The verbs that do the work: stage one, stage two, the submission, and new patients."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.actions.wanted import Wanted
from pipeline.commands.options import (
    DataOption,
    DevicesOption,
    ExecutorOption,
    ExistingRunOption,
    How,
    RecipeOption,
    ReplaceOption,
    RunOption,
    SetOption,
    StorageOption,
    StoreOption,
    TensorBoardOption,
    example,
    training,
)
from pipeline.lock import hold

commands = typer.Typer()


@commands.command(epilog=example("oof", "oof --recipe fusionnetx --data isic-2024/", "oof --dry-run"))
def oof(
    recipe: RecipeOption = None,
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    replace: ReplaceOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the jobs, sizes and exact schedules; train and write nothing.")
    ] = False,
    tensorboard: TensorBoardOption = False,
    executor: ExecutorOption = "local",
    store: StoreOption = None,
    devices: DevicesOption = 1,
) -> None:
    """Stage one: train every image model by fold and write out-of-fold probabilities."""
    wanted = Wanted(recipe, run, data, set_ or (), replace)
    if dry_run:
        from pipeline.actions.dry_run import print_dry_run
        from pipeline.actions.opening import surroundings, wanted_run
        from pipeline.inputs import Inputs

        here = surroundings()
        with here.display.listening():
            print_dry_run(Inputs(wanted_run(wanted), here), here)
        return
    work(wanted, How(executor, store, devices, tensorboard=tensorboard), "oof")


@commands.command(
    epilog=example("tabular", "tabular --set tabular.blend.method=rank_mean", "tabular --set tabular.tune.trials=50")
)
def tabular(
    recipe: RecipeOption = None,
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    replace: ReplaceOption = False,
    storage: StorageOption = None,
    tensorboard: TensorBoardOption = False,
    executor: ExecutorOption = "local",
    store: StoreOption = None,
    devices: DevicesOption = 1,
) -> None:
    """Stage two: engineer features, train the boosters by fold, blend them out of fold."""
    work(Wanted(recipe, run, data, set_ or (), replace), How(executor, store, devices, storage, tensorboard), "tabular")


@commands.command(
    epilog=example(
        "submission --recipe fusionnetx --data isic-2024/ --run first_try",
        "submission --run first_try",
        "submission --run first_try --set tabular.blend.method=rank_mean --replace",
    )
)
def submission(
    recipe: RecipeOption = None,
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    replace: ReplaceOption = False,
    storage: StorageOption = None,
    tensorboard: TensorBoardOption = False,
    executor: ExecutorOption = "local",
    store: StoreOption = None,
    devices: DevicesOption = 1,
) -> None:
    """Run whatever is missing, write submission.csv and say what it scored."""
    how = How(executor, store, devices, storage, tensorboard)
    work(Wanted(recipe, run, data, set_ or (), replace), how, "submission")


def work(wanted: Wanted, how: How, verb: str) -> None:
    """Do the work of a verb."""
    from pipeline.actions.train import train

    with training(wanted, how) as (inputs, runtime):
        train(inputs, runtime, verb)


@commands.command(
    epilog=example(
        "predict --run runs/demo --metadata new.csv --images new-images/ --out answers.xlsx",
        "predict --run runs/demo --metadata new.csv --images new-images/ --out answers.csv --calibration clinic_b",
        "predict --run runs/demo --metadata new.csv --images new-images/ --out scores.csv --plain",
    )
)
def predict(
    metadata: Annotated[Path, typer.Option(help="CSV shaped like test-metadata.csv.")],
    out: Annotated[Path, typer.Option(help="The file to write: .csv, .parquet or .xlsx.")],
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder or .zip of images named by lesion id, or an HDF5 file, if the run's models see images."
        ),
    ] = None,
    run: ExistingRunOption = "demo",
    plain: Annotated[
        bool, typer.Option("--plain", help="Write the lesion and its uncalibrated score alone, for programs.")
    ] = False,
    calibration: Annotated[
        str | None, typer.Option(help="Take probabilities and thresholds of another site (see `recalibrate`).")
    ] = None,
) -> None:
    """Predict new patients with a finished run: probability, rank, thresholds, doubts; no training data needed."""
    from pipeline.actions.opening import existing_run, surroundings
    from pipeline.actions.predict import Asked, run_predict

    found, here = existing_run(run), surroundings()
    with here.display.listening():
        run_predict(found, here, Asked(metadata, images, out, plain, calibration))


@commands.command(epilog=example("recalibrate --run runs/demo --data clinic-b/ --name clinic_b"))
def recalibrate(
    data: Annotated[
        Path, typer.Option("--data", "-d", help="Labelled lesions of the new site, shaped as in training.")
    ],
    name: Annotated[str, typer.Option(help="What the site is called; `predict --calibration` takes it.")],
    run: ExistingRunOption = "demo",
) -> None:
    """Fit probabilities and thresholds to another site by its own labelled patients; the models stay as they are."""
    from pipeline.actions.opening import existing_run, surroundings
    from pipeline.actions.recalibrate import run_recalibrate

    found, here = existing_run(run), surroundings()
    with here.display.listening(), hold(found.folder):
        run_recalibrate(found, here, data, name)
