"""Which plots the report has, each drawn from the figures in metrics.json and nothing else."""

from math import log
from typing import Any

from pipeline.report.svg import Area, Axis, Dots, Line, Plot, whole_ticks

SCORED_ABOVE = 0.80
"""ISIC 2024 scores the ROC curve above this sensitivity."""
SHARE = [(k / 5, f"{k / 5:g}") for k in range(6)]
MANY_SERIES = 7
LABELS = {"pauc": "pAUC", "auc": "AUC"}
PROBABILITIES = (0.5, 0.1, 0.9, 0.01, 0.99, 0.001, 0.999, 0.2, 0.8, 0.05, 0.95, 0.3, 0.7, 0.02, 0.98)
"""Ticks of a log-odds axis, the most wanted first."""

Figures = dict[str, Any]


def counted(curves: Figures) -> str:
    """n of every curve."""
    return (
        f"n = {curves['lesions']:,} lesions of {curves['patients']:,} patients, "
        f"{curves['positives']:,} malignant; blend, out of fold"
    )


def roc_plot(curves: Figures) -> Plot:
    """ROC with the scored region shaded."""
    fpr, sensitivity = curves["roc"]["false_positive_rate"], curves["roc"]["sensitivity"]
    inside = [(x, y) for x, y in zip(fpr, sensitivity, strict=True) if y >= SCORED_ABOVE]
    enter = crossing(fpr, sensitivity, SCORED_ABOVE)
    return Plot(
        "ROC curve",
        counted(curves),
        f"The curve reaches 80 % sensitivity at a false positive rate of {enter:.3f}; the area above is scored.",
        Axis("false positive rate (share of benign lesions flagged)", 0, 1, SHARE),
        Axis("sensitivity", 0, 1, SHARE),
        [
            Area([enter, *(x for x, _ in inside), 1.0], [SCORED_ABOVE, *(y for _, y in inside), SCORED_ABOVE],
                 "scored: above 80 % sensitivity", 2),
            Line([0, 1], [0, 1], "chance", 7, 2),
            Line([0, 1], [SCORED_ABOVE, SCORED_ABOVE], "", 2, 1),
            Line(fpr, sensitivity, "blend", 1),
        ],
        "/report/curves/roc",
    )  # fmt: skip


def crossing(x: list[float], y: list[float], level: float) -> float:
    """Where a rising curve reaches a level, between its points."""
    for i in range(1, len(y)):
        if y[i] >= level:
            span = y[i] - y[i - 1]
            return x[i] if span <= 0 else x[i - 1] + (x[i] - x[i - 1]) * (level - y[i - 1]) / span
    return x[-1]


def precision_recall_plot(curves: Figures) -> Plot:
    """Precision at every recall, with the prevalence as the floor."""
    figures = curves["precision_recall"]
    return Plot(
        "Precision and recall",
        counted(curves),
        f"Precision falls from {figures['precision'][0]:.2f} to the prevalence of {figures['prevalence']:.4f}.",
        Axis("recall (sensitivity)", 0, 1, SHARE),
        Axis("precision", 0, 1, SHARE),
        [
            Line([0, 1], [figures["prevalence"]] * 2, "prevalence", 7, 2),
            Line(figures["recall"], figures["precision"], "blend", 1),
        ],
        "/report/curves/precision_recall",
    )


def distribution_plot(curves: Figures) -> Plot:
    """Where each class lies."""
    figures = curves["distributions"]
    edges = figures["edges_log_odds"]
    top = max([*figures["benign"], *figures["malignant"]]) * 1.05
    return Plot(
        "Scores of each class",
        counted(curves),
        "Share of benign and of malignant lesions in bins of the probability, on a scale of log-odds.",
        Axis("probability (log-odds scale)", edges[0], edges[-1], probability_ticks(edges[0], edges[-1])),
        Axis("share of the class in a bin", 0, top),
        [
            Line(edges, [*figures["benign"], figures["benign"][-1]], "benign", 1, 0, step=True),
            Line(edges, [*figures["malignant"], figures["malignant"][-1]], "malignant", 2, 1, step=True),
        ],
        "/report/curves/distributions",
    )


def probability_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Probabilities at their log-odds, as many as there is room for."""
    chosen: list[tuple[float, str]] = []
    for probability in PROBABILITIES:
        place = log(probability / (1.0 - probability))
        if low <= place <= high and all(abs(place - other) >= (high - low) / 9 for other, _ in chosen):
            chosen.append((place, f"{probability:g}"))
    return sorted(chosen)


def reliability_plot(curves: Figures) -> Plot:
    """Stated probability against observed share, as given and recalibrated."""
    layers: list[Any] = [Line([0, 1], [0, 1], "perfect", 7, 2)]
    for name, label, colour, dash in (
        ("as_given", "as the models give it", 2, 1),
        ("recalibrated", "recalibrated on the other folds", 1, 0),
    ):
        found = curves["calibration"][name]
        if found is None:
            continue
        x = [one["mean_probability"] for one in found["bins"]]
        y = [one["observed_share"] for one in found["bins"]]
        layers.append(Line(x, y, "", colour, dash))
        layers.append(
            Dots(x, y, label, colour, [one["low"] for one in found["bins"]], [one["high"] for one in found["bins"]])
        )
    return Plot(
        "Calibration",
        counted(curves) + "; bars: 95 % (Wilson); each bin holds half of the lesions above the last",
        "Observed share of malignant lesions against the mean probability in bins.",
        Axis("mean probability in the bin", 0, 1, SHARE),
        Axis("share that is malignant", 0, 1, SHARE),
        layers,
        "/report/curves/calibration",
    )


def decision_plot(curves: Figures) -> Plot:
    """Net benefit over thresholds."""
    figures = curves["decision"]
    x = figures["threshold"]
    best = max([*figures["as_given"], *(figures["recalibrated"] or [0.0])])
    axis = Axis("net benefit per 1,000 lesions", -0.25 * best, 1.1 * best)
    everyone = [value if value >= axis.low else None for value in figures["flag_everyone"]]
    layers = [
        Line([x[0], x[-1]], [0, 0], "flag no lesion", 7, 2),
        Line(x, everyone, "flag every lesion", 3, 3),
        Line(x, [value if value >= axis.low else None for value in figures["as_given"]], "blend as given", 2, 1),
    ]
    if figures["recalibrated"]:
        layers.append(Line(x, figures["recalibrated"], "blend recalibrated", 1))
    return Plot(
        "Decision curve",
        counted(curves),
        "Net benefit of flagging by the blend, by flagging every lesion and by flagging none, over thresholds.",
        Axis("probability at which one would act (log scale)", x[0], x[-1], log=True),
        axis,
        layers,
        "/report/curves/decision",
    )


def workload_plot(curves: Figures) -> Plot:
    """Lesions to look at per patient."""
    figures = curves["workload"]
    y = figures["flagged_per_patient"]
    everything = curves["lesions"] / curves["patients"]
    marked = curves["flagged"]
    means = [one["per_patient_mean"] for one in marked]
    return Plot(
        "Lesions to look at",
        counted(curves),
        f"At 90 % sensitivity {marked[1]['per_patient_mean']['estimate']:.2f} lesions per patient are flagged, "
        f"of {everything:.0f} photographed.",
        Axis("sensitivity", 0.5, 1.0),
        Axis("flagged per patient (log scale)", min(y) * 0.8, max(everything, *y) * 1.1, log=True),
        [
            Line([0.5, 1.0], [everything] * 2, "every lesion of a patient", 7, 2),
            Line(figures["sensitivity"], y, "blend", 1, step=True),
            Dots([one["sensitivity"] for one in marked], [mean["estimate"] for mean in means],
                 "80, 90 and 95 % sensitivity, with 95 % interval", 2,
                 [mean["low"] for mean in means], [mean["high"] for mean in means]),
        ],
        "/report/curves/workload",
    )  # fmt: skip


def cost_plot(metrics: Figures) -> Plot | None:
    """Score of each image model against the operations it takes."""
    models, score = metrics["report"]["image_models"], metrics["score"]
    scores = metrics["cross_validated"]["image_models"]
    drawn = [model for model in models if "low" in scores.get(model["name"], {}).get(score, {})]
    if not drawn:
        return None
    figures = [scores[model["name"]][score] for model in drawn]
    gflops = [model["gflops"] for model in drawn]
    left, right = min(gflops) / 2, max(gflops) * 2
    chance = [Line([left, right], [metrics["chance"]] * 2, "chance", 7, 2)] if metrics["chance"] else []
    told = [
        f"{one['name']} {at['estimate']:.4f} at {one['gflops']:.2f}" for one, at in zip(drawn, figures, strict=True)
    ]
    return Plot(
        "Quality and cost of the image models",
        f"n = {metrics['cohort']['lesions']:,} lesions, out of fold; bars: 95 % over patients",
        "Score and GFLOPs: " + "; ".join(told) + ".",
        Axis("GFLOPs per image (log scale)", left, right, log=True),
        Axis(f"{LABELS.get(score, score)} out of fold", 0, max(one["high"] for one in figures) * 1.15),
        [
            *chance,
            Dots(gflops, [one["estimate"] for one in figures], "image model", 1,
                 [one["low"] for one in figures], [one["high"] for one in figures], [model["name"] for model in drawn]),
        ],
        "/report/image_models",
    )  # fmt: skip


def training_plots(metrics: Figures) -> list[Plot]:
    """Loss by epoch of each image model, one line per fold."""
    plots = []
    for i, model in enumerate(metrics["report"]["image_models"]):
        longest = max(len(fold["loss"]) for fold in model["folds"])
        losses = [loss for fold in model["folds"] for loss in fold["loss"]]
        spread = (max(losses) - min(losses)) or 0.1
        plots.append(
            Plot(
                f"Training of {model['name']}",
                f"n = {len(model['folds'])} folds, mean training loss of each epoch",
                f"The loss of the first fold goes from {losses[0]:.3f} to {model['folds'][0]['loss'][-1]:.3f}.",
                Axis("epoch", 0.5, longest + 0.5, whole_ticks(longest)),
                Axis("training loss", min(losses) - 0.1 * spread, max(losses) + 0.1 * spread),
                [loss_curve(fold, k) for k, fold in enumerate(model["folds"])],
                f"/report/image_models/{i}/folds",
            )
        )
    return plots


def loss_curve(fold: Figures, place: int) -> Line | Dots:
    """The loss of one fold's model; a single epoch is a dot."""
    epochs = [float(epoch) for epoch in range(1, len(fold["loss"]) + 1)]
    label, style = f"fold {fold['fold']}", place % MANY_SERIES
    if len(epochs) == 1:
        return Dots(epochs, fold["loss"], label, 1 + style)
    return Line(epochs, fold["loss"], label, 1 + style, style)
