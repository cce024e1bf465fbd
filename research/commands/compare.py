"""Verbs that set things side by side: finished runs, or published systems on one data set."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.actions.wanted import Wanted
from pipeline.commands.options import DataOption, ExecutorOption, How, RunOption, SetOption, example, training

commands = typer.Typer()


@commands.command(
    epilog=example(
        "compare demo first_try",
        "compare runs/a runs/b runs/c --out abc.html",
        "compare --recipe ham10000 --data HAM10000/ --fast",
        "compare --recipe ham10000 --data HAM10000/ --fast --executor ray",
        "compare --recipe ham10000 --data HAM10000/ --systems s5_gated,s3 --protocols sound",
        "compare --recipe ham10000 --data HAM10000/ --systems s5_image --null --fast",
    )
)
def compare(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Names under runs/, or paths; the first is the base.")
    ] = None,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help="The page to write of runs; its figures go beside it as .json.")] = Path(
        "compare.html"
    ),
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="Compare published systems on this recipe's data instead.")
    ] = None,
    run: RunOption = None,
    set_: SetOption = None,
    systems: Annotated[
        str | None, typer.Option(help="Systems or sources, by comma (see `fusionnetx systems`). Default: the roster.")
    ] = None,
    protocols: Annotated[str, typer.Option(help="`published`, `sound` or both.")] = "published,sound",
    fast: Annotated[bool, typer.Option("--fast", help="Small images, few epochs: for CPUs.")] = False,
    largest: Annotated[
        int, typer.Option(min=0, help="Side in pixels that no network exceeds; 0: the recipes' sizes.")
    ] = 0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as markdown.")] = False,
    null: Annotated[
        bool,
        typer.Option("--null", help="Deal the labels anew: what each protocol scores when nothing can be learned."),
    ] = False,
    draws: Annotated[int, typer.Option(min=1, help="Deals of the labels for --null.")] = 1,
    executor: ExecutorOption = "local",
) -> None:
    """Set finished runs side by side; or, with --recipe, published systems by their own protocol and by a sound one."""
    from data.errors import RecipeError

    if (recipe is None) == (not runs):
        raise RecipeError("compare needs either the names of finished runs or --recipe with systems to run, not both")
    if recipe is None:
        from pipeline.actions.opening import surroundings
        from pipeline.comparison.build import run_compare

        run_compare(runs or [], data, out, surroundings())
        return
    from research.systems.comparison import Comparison
    from research.systems.protocols import protocols_named
    from research.systems.registry import chosen_systems

    chosen = Comparison(chosen_systems(systems), protocols_named(protocols), fast, largest)
    name = run or f"{Path(recipe).stem}-systems" + ("-fast" if fast else "")
    with training(Wanted(recipe, name, data, set_ or ()), How(executor)) as (inputs, runtime):
        inputs.run.record()
        if null:
            from research.systems.null import run_null

            run_null(inputs, runtime, chosen, draws=draws, as_markdown=markdown)
        else:
            from research.systems.run import run_systems

            run_systems(inputs, runtime, chosen, as_markdown=markdown)
