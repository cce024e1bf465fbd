"""The verbs that do the work: stage one, stage two, the submission, and new patients."""

import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from data.errors import DataError
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
    looking,
    training,
)

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
        with here.display.listening(), TemporaryDirectory() as scratch:
            if not here.cache_dir.exists():  # invented data that it needs leave none behind
                here = dataclasses.replace(here, cache_dir=Path(scratch))
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
        "predict --run runs/demo --model lesion_net --metadata new.csv --images new-images/ --out one-network.csv",
        "predict --run runs/s1 --model hybrid --image lesion.jpg --tell age=55 --tell sex=male",
    )
)
def predict(
    metadata: Annotated[Path | None, typer.Option(help="CSV shaped like test-metadata.csv.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write: .csv, .parquet or .xlsx. Only one lesion needs none.")
    ] = None,
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
    model: Annotated[
        str | None, typer.Option(help="Ask this network of the run alone: the mean of its fold models, no stage two.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="With --model, in place of a table: the image of one lesion.")
    ] = None,
    tell: Annotated[
        list[str] | None,
        typer.Option(help="With --model, in place of a table: column=value of one lesion. Repeatable."),
    ] = None,
) -> None:
    """Predict new patients with a finished run: probability, rank, thresholds, doubts; no training data needed."""
    from pipeline.actions.opening import existing_run, surroundings
    from pipeline.actions.predict import Asked, run_predict

    one = image is not None or bool(tell)
    if one and (model is None or metadata is not None or images is not None):
        raise DataError(
            "--image and --tell are about one lesion: give --model with them, and no --metadata or --images"
        )
    if not one and (metadata is None or out is None):
        raise DataError("give the lesions with --metadata and the file to write with --out")
    if model is not None and (plain or calibration is not None):
        raise DataError("--model gives a network's own probability: leave out --plain and --calibration")
    found, here = existing_run(run), surroundings()
    with here.display.listening():
        if model is not None:
            from pipeline.actions.ask_network import OneLesion, run_network

            given = OneLesion(image, tell or ()) if metadata is None else (metadata, images)
            run_network(found, here, model, given, out)
            return
        assert metadata is not None
        assert out is not None
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
    from pipeline.actions.recalibrate import run_recalibrate

    with looking(run) as (inputs, runtime):
        run_recalibrate(inputs.run, runtime, data, name)
