"""The parts of the evidence in a terminal."""

from typing import Any

from pipeline.display import Display
from pipeline.report.evidence import TITLES, spec_of
from pipeline.scoring import interval
from pipeline.tables import grid


def print_part(display: Display, figures: dict[str, Any], part: str) -> None:
    """One part."""
    shown = {
        "inputs": print_inputs,
        "clinics": print_clinics,
        "robustness": print_robustness,
        "shuffled": print_shuffled,
        "evaluations": print_evaluations,
    }
    shown[part](display, figures)
    if figures["synthetic"]:
        display.say("the models learned from synthetic lesions: the figures say nothing about patients")


def print_inputs(display: Display, figures: dict[str, Any]) -> None:
    """Ten variants by five scores: the score, how far from the full run, what was published."""
    part = figures["inputs"]
    table = grid("What each class of inputs brings, cross-validated", "inputs", *map(title, part["metrics"]))
    for row in part["rows"]:
        if row["absent"]:
            continue
        table.add_row(row["title"], *(cell(row, metric) for metric in part["metrics"]))
    if part["published"]:
        table.caption = f"in each cell: score, difference from the first row, published: {part['published']['source']}"
        table.caption_justify = "left"
    display.table(table)
    for row in part["rows"]:
        if row["absent"]:
            display.say(f"{row['title']}: {row['absent']}")


def cell(row: dict[str, Any], metric: str) -> str:
    """Three lines."""
    spec = spec_of(metric)
    lines = [interval(row["scores"][metric], spec)]
    if row["differences"]:
        lines.append(interval(row["differences"][metric], "+" + spec))
    if row["published"] and metric in row["published"]:
        lines.append(f"published {row['published'][metric]:{'.2f' if metric.startswith('nnt') else '.3f'}}")
    return "\n".join(lines)


def print_clinics(display: Display, figures: dict[str, Any]) -> None:
    """Known and unseen by institution, and the mean."""
    part, score = figures["clinics"], figures["score"]
    for told in part["told"]:
        table = grid(
            f"Known and unseen, {told} {part['by']} as an input: {title(score)}",
            part["by"],
            part.get("positive", "malignant"),
            "known",
            "unseen",
            "known less unseen",
        )
        for one in part["clinics"]:
            found = one["told"][told][score] if one["told"] else None
            cells = [interval(found[key], spec) for key, spec in COLUMNS] if found else ["too few", "", ""]
            table.add_row(one["name"][:60], str(one["positives"]), *cells)
        display.table(table)
        for metric, mean in part["mean"][told].items():
            if mean:
                fall = interval(mean["fall"], "+.4f")
                display.say(
                    f"mean of {mean['clinics']}, {title(metric)}: known less unseen {fall}: an unseen one is "
                    f"{mean['unseen_is']}"
                )


PLACES = ("there", "cross-validated")
COLUMNS = (("known", ".4f"), ("unseen", ".4f"), ("fall", "+.4f"))


def print_robustness(display: Display, figures: dict[str, Any]) -> None:
    """The score at every strength, and without groups of columns."""
    part, score = figures["robustness"], figures["score"]
    table = grid(f"When inputs get worse: {title(score)}", "what", "strength", "score", "from as it is")
    table.add_row("as it is", "", interval(part["as_it_is"][score], ".4f"), "")
    for fault in part["faults"]:
        for row in fault["rows"]:
            table.add_row(f"{fault['title']} ({fault['unit']})", f"{row['strength']:g}", *pair(row, score))
    for row in part["missing"]:
        table.add_row(f"missing: {row['name']}", "", *pair(row, score))
    display.table(table)


def pair(row: dict[str, Any], score: str) -> tuple[str, str]:
    """Score and difference."""
    return interval(row["scores"][score], ".4f"), interval(row["differences"][score], "+.4f")


def print_shuffled(display: Display, figures: dict[str, Any]) -> None:
    """Each cell beside what chance says."""
    part = figures["shuffled"]
    table = grid("On labels dealt to other patients", "inputs", *map(title, part["metrics"]))
    for row in part["rows"]:
        cells = [(row["cells"][metric], spec_of(metric)) for metric in part["metrics"]]
        table.add_row(
            row["title"],
            *(
                f"{one['estimate']:{spec}}\nchance {one['low']:{spec}} to {one['high']:{spec}}"
                + ("" if one["is_chance"] else "\nNOT CHANCE")
                for one, spec in cells
            ),
        )
    display.table(table)
    display.say("every cell is chance" if part["passed"] else "a cell is no chance: something leaks", style="bold")


def print_evaluations(display: Display, figures: dict[str, Any]) -> None:
    """The scores on other data."""
    for one in figures["evaluations"]:
        table = grid(f"{one['name']}: {one['sample']['lesions']:,} lesions", "score", "there", "cross-validated")
        for metric in one["metrics"]:
            spec = spec_of(metric)
            table.add_row(title(metric), interval(one["scores"][metric], spec), interval(one["own"][metric], spec))
        display.table(table)
        alone = grid("each column alone", "column", *(f"{title(figures['score'])}, {where}" for where in PLACES))
        for column in one["columns"]:
            alone.add_row(
                column["name"], *(interval(column[key][figures["score"]], ".4f") for key in ("scores", "own"))
            )
        display.table(alone)
        gaps = ", ".join(f"{gap['column']} ({gap['missing_share']:.0%})" for gap in one["missing"])
        if gaps:
            display.say(f"learned from and missing there: {gaps}")


def title(metric: str) -> str:
    """Of a score."""
    return str(TITLES[metric])
