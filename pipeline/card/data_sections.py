"""The sections of a card about what a run learned from: data, patients, predictors, gaps, division."""

from pipeline.card.figures import Cell, Figure, Section
from pipeline.card.files import Files, named


class DataAnswers(Files):
    """What the files say of the data."""

    def data(self) -> Section:
        """Setting, lesions, events."""
        cohort, words = self.metrics.at("cohort"), self.words
        events: list[tuple[Cell, ...]] = [(f"Events (positive {words['rows']})", cohort.at("positives").show(",d"))]
        if self.many:
            classes = self.report.at("classes")
            events = [
                (f"{words['rows'].capitalize()} of {one.at('name').value}", one.at("lesions").show(",d"))
                for one in classes.at("classes").each()
            ]
            malignant = classes.at("malignant")
            if malignant:
                label = f"Events (malignant: {', '.join(malignant.at('classes').value)})"
                events.append((label, malignant.at("lesions").show(",d")))
        rows: list[tuple[Cell, ...]] = [
            ("Data set (reader)", self.recipe.at("data", "reader").show()),
            (f"Training {words['rows']}", cohort.at("lesions").show(",d")),
            (f"Training {words['groups']}", cohort.at("patients").show(",d")),
            *events,
            (f"Test {words['rows']}", cohort.at("test_lesions").show(",d")),
        ]
        return Section("data", "Data, setting, events", head=("", ""), rows=rows if cohort else [])

    def patients(self) -> Section:
        """Characteristics, as the report divides the lesions."""
        counted = ["lesions", "patients", *([] if self.many else ["positives"])]
        rows: list[tuple[Cell, ...]] = [
            (row.name, *(row.source.at(name).show(",d") for name in counted))
            for division in self.divisions if division.at("name").value != "fold"
            for row in named(division)
        ]  # fmt: skip
        head = ("", self.words["rows"].capitalize(), self.words["groups"].capitalize(), "Events")[: len(counted) + 1]
        return Section("patients", f"Characteristics of {self.words['groups']}", head=head, rows=rows)

    def predictors(self) -> Section:
        """What models are told."""
        seen, features = self.calibration.at("seen"), self.recipe.at("features")
        counted = [
            (what, Figure(f"{len(seen.at(key).value):,}", seen.at(key).key))
            for what, key in (("Numbers used", "numbers"), ("Categories used", "categories"))
            if seen.at(key)
        ]
        rows: list[tuple[Cell, ...]] = [
            ("Families of features", Figure(", ".join(self.run.recipe.features.chosen), features.at("families").key)),
            *counted,
            ("Side of packed images, px", self.recipe.at("data", "image_size").show("d")),
        ]
        for model in self.recipe.at("image_models").each():
            columns = model.at("metadata", "columns")
            if columns.value:
                rows.append((f"Told to {model.at('name').value}", Figure(", ".join(columns.value), columns.key)))
        return Section("predictors", "Predictors", head=("", ""), rows=rows)

    def missing(self) -> Section:
        """What is done about values and images that are not there."""
        share = self.recipe.at("data", "max_missing_images")
        said = (
            "A missing number stays missing for boosters that can take it and is filled by values of the fold's "
            "training part for those that cannot; without a usable image there is no image score.",
        )
        found = self.report.at("quality")
        rows: list[tuple[Cell, ...]] = [
            (f"Missing: {one.at('column').value}", one.at("share").show(".2%")) for one in found.at("missing").each()
        ]
        rows += [("Missing, mean of all columns", found.at("missing_share").show(".2%"))] if found else []
        rows.append(("Share without a usable image allowed", share.show(".1%")))
        return Section("missing", "Missing data", said, ("", ""), rows)

    def quality(self) -> Section:
        """What was looked at before training, and what came of it."""
        found, data = self.report.at("quality"), self.recipe.at("data")
        if not found:
            return Section("quality", "Quality of inputs")
        said = (
            "Every table was held against its declared columns, units and ranges, and every image was decoded, before "
            "anything was trained; what does not fit stops a run. How scores fall with worse pictures is under "
            "robustness.",
        )
        steps = data.at("clean")
        lost = "that could not be used" if self.words["row"] == "image" else "without a usable image"
        rows: list[tuple[Cell, ...]] = [
            ("Columns that a new row has", found.at("columns").show("d")),
            (f"Training {self.words['rows']} {lost}", found.at("without_image").show(",d")),
            ("Side of packed images, px", data.at("image_size").show("d")),
            ("Cleaning of images", Figure(", ".join(steps.value) or "none", steps.key)),
        ]
        return Section("quality", "Quality of inputs", said, ("", ""), rows)

    def division(self) -> Section:
        """Folds."""
        folds = self.report.at("account", "folds")
        rows: list[tuple[Cell, ...]] = [
            ("Folds", folds.at("count").show("d")),
            ("Method", folds.at("method").show()),
            ("Seed of the folds", self.recipe.at("folds", "seed").show()),
            ("Seed of the run", self.recipe.at("seed").show("d")),
        ]
        words = self.words
        whole = (
            f"All {words['rows']} of a {words['group']} are in one fold; n" if words["row"] != words["group"] else "N"
        )
        said = (f"{whole}othing that is fitted sees the fold that it predicts.",)
        return Section("division", "How the data were divided", said, ("", ""), rows if folds else rows[2:])
