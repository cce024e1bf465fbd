"""The plots of two classes and of image models, each drawn from the figures in metrics.json and nothing else."""

from functools import partial
from typing import Any

from pipeline.report.axis import Axis, around, probability_ticks, share, whole_numbers
from pipeline.report.svg import SERIES, Area, Dots, Layer, Line, Plot
from pipeline.report.words import counted, short_title

SCORED_ABOVE = 0.80
"""pAUC scores the ROC curve above this sensitivity."""

Figures = dict[str, Any]


def curve_plots(metrics: Figures) -> list[Plot]:
    """The six plots of the blend's probability."""
    curves, words, score = metrics["report"]["curves"], metrics["report"]["words"], metrics["score"]
    counts = counted(curves["lesions"], curves["patients"], words)
    about = f"n = {counts}, {curves['positives']:,} malignant; blend, out of fold"
    return [
        roc_plot(curves["roc"], about, words, scored=score == "pauc"),
        precision_recall_plot(curves["precision_recall"], about),
        reliability_plot(curves["calibration"], about, words),
        distribution_plot(curves["distributions"], about, words),
        decision_plot(curves["decision"], about, words),
        workload_plot(curves, about, words),
    ]


def roc_plot(figures: Figures, about: str, words: Figures, *, scored: bool) -> Plot:
    """ROC, with the region shaded that the task's score looks at, where it is not the whole."""
    fpr, sensitivity = figures["false_positive_rate"], figures["sensitivity"]
    enter = crossing(fpr, sensitivity, SCORED_ABOVE)
    layers: list[Layer] = [Line([0, 1], [0, 1], "chance", 7, 2), Line(fpr, sensitivity, "blend", 1)]
    description = f"The curve reaches 80 % sensitivity at a false positive rate of {enter:.3f}"
    if scored:
        inside = [(x, y) for x, y in zip(fpr, sensitivity, strict=True) if y >= SCORED_ABOVE]
        x, y = [enter, *(x for x, _ in inside), 1.0], [SCORED_ABOVE, *(y for _, y in inside), SCORED_ABOVE]
        layers.insert(0, Area(x, y, "scored: above 80 % sensitivity", 2))
        layers.insert(2, Line([0, 1], [SCORED_ABOVE, SCORED_ABOVE], "", 2, 1))
        description += "; the area above is scored"
    x_axis = share(f"false positive rate (share of benign {words['rows']} flagged)")
    return Plot("ROC curve", about, f"{description}.", x_axis, share("sensitivity"), layers, "/report/curves/roc")


def crossing(x: list[float], y: list[float], level: float) -> float:
    """Where a rising curve reaches a level, between its points."""
    for i in range(1, len(y)):
        if y[i] >= level:
            span = y[i] - y[i - 1]
            return x[i] if span <= 0 else x[i - 1] + (x[i] - x[i - 1]) * (level - y[i - 1]) / span
    return x[-1]


def precision_recall_plot(figures: Figures, about: str) -> Plot:
    """Precision at every recall, with the prevalence as the floor."""
    return Plot(
        "Precision and recall",
        about,
        f"Precision falls from {figures['precision'][0]:.2f} to the prevalence of {figures['prevalence']:.4f}.",
        share("recall (sensitivity)"),
        share("precision"),
        [
            Line([0, 1], [figures["prevalence"]] * 2, "prevalence", 7, 2),
            Line(figures["recall"], figures["precision"], "blend", 1),
        ],
        "/report/curves/precision_recall",
    )


def distribution_plot(figures: Figures, about: str, words: Figures) -> Plot:
    """Where each class lies."""
    edges, classes = figures["edges_log_odds"], ("benign", "malignant")
    low, high = edges[0], edges[-1]
    return Plot(
        "Scores of each class",
        about,
        f"Share of benign and of malignant {words['rows']} in bins of the probability, on a scale of log-odds.",
        Axis("probability (log-odds scale)", low, high, probability_ticks(low, high)),
        Axis("share of the class in a bin", 0, 1.05 * max(max(figures[name]) for name in classes)),
        [Line(edges, [*figures[name], figures[name][-1]], name, 1 + i, i, step=True) for i, name in enumerate(classes)],
        "/report/curves/distributions",
    )


def reliability_plot(figures: Figures, about: str, words: Figures) -> Plot:
    """Stated probability against observed share, as given and recalibrated."""
    layers: list[Layer] = [Line([0, 1], [0, 1], "perfect", 7, 2)]
    for name, label, colour, dash in (
        ("as_given", "as the models give it", 2, 1),
        ("recalibrated", "recalibrated on the other folds", 1, 0),
    ):
        if figures[name] is None:
            continue
        keys = ("mean_probability", "observed_share", "low", "high")
        x, y, low, high = ([one[key] for one in figures[name]["bins"]] for key in keys)
        layers += [Line(x, y, "", colour, dash), Dots(x, y, label, colour, low, high)]
    return Plot(
        "Calibration",
        f"{about}; bars: 95 % (Wilson); each bin holds half of the {words['rows']} above the last",
        f"Observed share of malignant {words['rows']} against the mean probability in bins.",
        share("mean probability in the bin"),
        share("share that is malignant"),
        layers,
        "/report/curves/calibration",
    )


def decision_plot(figures: Figures, about: str, words: Figures) -> Plot:
    """Net benefit over thresholds."""
    x, again = figures["threshold"], figures["recalibrated"]
    best = max([*figures["as_given"], *(again or [0.0])])
    y = Axis(f"net benefit per 1,000 {words['rows']}", -0.25 * best, 1.1 * best)
    every, given = (
        [value if value >= y.low else None for value in figures[name]] for name in ("flag_everyone", "as_given")
    )
    layers = [
        Line([x[0], x[-1]], [0, 0], f"flag no {words['row']}", 7, 2),
        Line(x, every, f"flag every {words['row']}", 3, 3),
        Line(x, given, "blend as given", 2, 1),
        *([Line(x, again, "blend recalibrated", 1)] if again else []),
    ]
    return Plot(
        "Decision curve",
        about,
        f"Net benefit of flagging by the blend, of flagging every {words['row']} and of flagging none, by threshold.",
        Axis("probability at which one would act (log scale)", x[0], x[-1], log=True),
        y,
        layers,
        "/report/curves/decision",
    )


def workload_plot(curves: Figures, about: str, words: Figures) -> Plot:
    """How many to look at per patient, or per whatever is held out together."""
    figures, marked = curves["workload"], curves["flagged"]
    y, everything = figures["flagged_per_patient"], curves["lesions"] / curves["patients"]
    estimate, low, high = ([one["per_patient_mean"][key] for one in marked] for key in ("estimate", "low", "high"))
    label = "80, 90 and 95 % sensitivity, with 95 % interval"
    return Plot(
        f"{words['rows'].capitalize()} to look at",
        about,
        f"At 90 % sensitivity {estimate[1]:.2f} {words['rows']} per {words['group']} are flagged, "
        f"of {everything:.0f} photographed.",
        Axis("sensitivity", 0.5, 1.0),
        Axis(f"flagged per {words['group']} (log scale)", min(y) * 0.8, max(everything, *y) * 1.1, log=True),
        [
            Line([0.5, 1.0], [everything] * 2, f"every {words['row']} of one {words['group']}", 7, 2),
            Line(figures["sensitivity"], y, "blend", 1, step=True),
            Dots([one["sensitivity"] for one in marked], estimate, label, 2, low, high),
        ],
        "/report/curves/workload",
    )


def cost_plot(metrics: Figures) -> Plot | None:
    """Score of each image model against the operations it takes."""
    scored = metrics["cross_validated"]["image_models"]
    found = [
        (model["name"], model["gflops"], figures)
        for model in metrics["report"]["image_models"]
        if "low" in (figures := scored.get(model["name"], {}).get(metrics["score"], {}))
    ]
    if not found:
        return None
    names, gflops = [name for name, _, _ in found], [at for _, at, _ in found]
    estimate, low, high = ([figures[key] for _, _, figures in found] for key in ("estimate", "low", "high"))
    left, right, words = min(gflops) / 2, max(gflops) * 2, metrics["report"]["words"]
    chance = [Line([left, right], [metrics["chance"]] * 2, "chance", 7, 2)] if metrics["chance"] else []
    each = "; ".join(f"{name} {figures['estimate']:.4f} at {at:.2f}" for name, at, figures in found)
    return Plot(
        "Quality and cost of the image models",
        f"n = {metrics['cohort']['lesions']:,} {words['rows']}, out of fold; bars: 95 % over {words['groups']}",
        f"Score and GFLOPs: {each}.",
        Axis("GFLOPs per image (log scale)", left, right, log=True),
        Axis(f"{short_title(metrics['score'])} out of fold", 0, max(high) * 1.15),
        [*chance, Dots(gflops, estimate, "image model", 1, low, high, names)],
        "/report/image_models",
    )


def training_plots(metrics: Figures) -> list[Plot]:
    """Loss by epoch of each image model, one line per fold; a single epoch is a dot."""
    plots = []
    for i, model in enumerate(metrics["report"]["image_models"]):
        losses = [fold["loss"] for fold in model["folds"]]
        layers: list[Layer] = []
        for place, fold in enumerate(model["folds"]):
            style, epochs = place % SERIES, [float(epoch) for epoch in range(1, len(fold["loss"]) + 1)]
            draw = Dots if len(epochs) == 1 else partial(Line, dash=style)
            layers.append(draw(epochs, fold["loss"], f"fold {fold['fold']}", 1 + style))
        plots.append(
            Plot(
                f"Training of {model['name']}",
                f"n = {len(losses)} folds, mean training loss of each epoch",
                f"The loss of the first fold goes from {losses[0][0]:.3f} to {losses[0][-1]:.3f}.",
                whole_numbers("epoch", max(map(len, losses))),
                around("training loss", [loss for of_fold in losses for loss in of_fold], 0.1),
                layers,
                f"/report/image_models/{i}/folds",
            )
        )
    return plots


def class_plots(figures: dict[str, Any], words: dict[str, str]) -> list[Plot]:
    """ROC curves of every class against the rest: whole, and their steep part."""
    drawn = [one for one in figures["classes"] if one["roc"]]
    if not drawn:
        return []
    areas = "; ".join(f"{one['name']} {one['auc']['estimate']:.3f}" for one in drawn if one["auc"])
    counts = ", ".join(f"{one['name']} {one['lesions']:,}" for one in drawn)
    return [
        Plot(
            title,
            f"n = {figures['lesions']:,} {words['rows']}; {counts}; blend, out of fold",
            description,
            share("share of the other classes flagged", right),
            share("share of the class found"),
            [Line([0, right], [0, right], "chance", 7, 2), *(clipped(one, i, right) for i, one in enumerate(drawn))],
            "/report/classes/classes",
        )
        for title, description, right in (
            ("ROC of each class against the rest", f"AUC: {areas}.", 1.0),
            ("The same, few others flagged", "Up to a tenth of the others.", 0.1),
        )
    ]


def clipped(one: dict[str, Any], place: int, right: float) -> Line:
    """The curve of one class up to `right`."""
    points = list(zip(one["roc"]["false_positive_rate"], one["roc"]["sensitivity"], strict=True))
    inside = [(x, y) for x, y in points if x <= right]
    if len(inside) < len(points):
        inside.append((right, inside[-1][1]))
    style = place % SERIES
    return Line([x for x, _ in inside], [y for _, y in inside], one["name"], 1 + style, style)
