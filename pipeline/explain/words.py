"""A sheet's figures in sentences, made by rules: each clause says what a number on the sheet says, and no more."""

from typing import Any

MIDDLE = 0.1
"""The middle of the heat is in the middle of the image within so much of its side."""
EVEN = 0.25
"""Share of the middle half where heat is spread evenly over the image."""


def sentences(figures: dict[str, Any]) -> list[str]:
    """What the answer is, how sure, what stands out, where networks look, what pushed, what is missing."""
    found = [answer(figures), sureness(figures), *measurements(figures), *looks(figures), *pushes(figures)]
    return [*found, missing(figures)]


def answer(figures: dict[str, Any]) -> str:
    """Probability and place."""
    words, probability = figures["words"], figures["probability"]
    worth = "no probability" if probability is None else f"a calibrated probability of {probability:.3g}"
    alone = figures["patient_lesions"] == 1
    place = f"the only {words['row']}" if alone else f"number {figures['place']} of {figures['patient_lesions']}"
    return (
        f"The run gives {figures['explained_class']} {worth}; by score this is {place} of {words['group']} "
        f"{figures['patient']}."
    )


def sureness(figures: dict[str, Any]) -> str:
    """What thresholds and prediction sets say."""
    said, found = [], figures["findings"]
    if found["thresholds"]:
        at = found["flagged_at"]
        said.append(
            f"It is flagged at the threshold for {at} sensitivity" if at else "It is below every stored threshold"
        )
    level = f"at {found['level']:.0%}"
    match found["left"]:
        case [only]:
            said.append(f"{level} only {only} cannot be ruled out")
        case []:
            said.append(f"{level} no class fits it, so the answer is uncertain")
        case several:
            said.append(f"{level} none of {', '.join(several)} can be ruled out, so the answer is uncertain")
    if figures["kind"] == "training":
        said.append("this lesion helped to set these limits")
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def measurements(figures: dict[str, Any]) -> list[str]:
    """Those that stand out within the patient, and in which direction."""
    found, rows, group = figures["findings"], figures["words"]["rows"], figures["words"]["group"]
    if found["measured_beside"] < found["fewest_beside"]:
        few = f"too few other {rows} here ({found['measured_beside']})"
        return [f"The {group} has {few} to say which measurement stands out."]
    if not found["measurements"]:
        return [f"No measurement stands out among the {found['measured_beside']} other {rows} of the {group}."]
    said = []
    for one in found["measurements"]:
        high, unit = one["distance"] > 0, f" {one['unit']}" if one["unit"] else ""
        meaning = one["meaning"]
        said.append(
            f"{meaning[:1].upper()}{meaning[1:]} ({one['column']}) is {'high' if high else 'low'} for the {group}: "
            f"{one['value']:.3g}{unit}, {abs(one['distance']):.1f} standard deviations {'above' if high else 'below'} "
            f"the mean of the others, {one['mean_of_others']:.3g}."
        )
    return said


def looks(figures: dict[str, Any]) -> list[str]:
    """Where each network looks."""
    return [
        f"{one['model']} looks {place(one['x'], one['y'])}: {one['middle']:.0%} of its heat lies in the middle half of "
        f"the image (spread evenly it would be {EVEN:.0%})."
        for one in figures["findings"]["looks"]
    ]


def place(x: float, y: float) -> str:
    """The middle of the heat in words."""
    up = "upper" if y < 0.5 - MIDDLE else "lower" if y > 0.5 + MIDDLE else ""
    side = "left" if x < 0.5 - MIDDLE else "right" if x > 0.5 + MIDDLE else ""
    if not up and not side:
        return "around the middle"
    return f"towards the {up} {side or 'half'}" if up else f"towards the {side}"


def pushes(figures: dict[str, Any]) -> list[str]:
    """The strongest feature for and against."""
    found, clauses = figures["boosters"]["features"], []
    for way, right in (("for", 1), ("against", -1)):
        own = [one for one in found if right * one["contribution"] > 0]
        if own:
            most = max(own, key=lambda one: abs(one["contribution"]))
            clauses.append(f"{way} it {most['meaning']} ({most['feature']}, {most['contribution']:+.2f} log-odds)")
    return [f"What pushed the boosters most: {'; '.join(clauses)}."] if clauses else []


def missing(figures: dict[str, Any]) -> str:
    """What the lesion lacks, or has that training had not."""
    notes = figures["findings"]["notes"]
    return f"Missing or new: {notes}." if notes else "No measurement is missing, and none is outside what training had."
