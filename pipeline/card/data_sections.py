"""The sections of a card about what a run learned from: data, patients, predictors, gaps, division."""

from pipeline.card.figures import Cell, Figure, Section
from pipeline.card.files import Files


class DataAnswers(Files):
    """What the files say of the data."""

    def data(self) -> Section:
        """Setting, lesions, events."""
        cohort, words = self.metrics.at("cohort"), self.words
        rows: list[tuple[Cell, ...]] = [
            ("Data set (reader)", self.recipe.at("data", "reader").show()),
            (f"Training {words['rows']}", cohort.at("lesions").show(",d")),
            (f"Training {words['groups']}", cohort.at("patients").show(",d")),
            (f"Events (positive {words['rows']})", cohort.at("positives").show(",d")),
            (f"Test {words['rows']}", cohort.at("test_lesions").show(",d")),
        ]
        return Section("data", "Data, setting, events", head=("", ""), rows=rows if cohort else [])

    def patients(self) -> Section:
        """Characteristics, as the report divides the lesions."""
        rows: list[tuple[Cell, ...]] = [
            (f"{division.at('title').value}: {row.at('label').value}", row.at("lesions").show(",d"),
             row.at("patients").show(",d"), row.at("positives").show(",d"))
            for division in self.divisions if division.at("name").value != "fold"
            for row in division.at("groups").each()
        ]  # fmt: skip
        many = {key: word.capitalize() for key, word in self.words.items()}
        head = ("", many["rows"], many["groups"], "Events")
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
            "training part for those that cannot; a row without an image has no image score.",
        )
        found = self.report.at("quality")
        rows: list[tuple[Cell, ...]] = [
            (f"Missing: {one.at('column').value}", one.at("share").show(".2%")) for one in found.at("missing").each()
        ]
        rows += [("Missing, mean of all columns", found.at("missing_share").show(".2%"))] if found else []
        rows.append((f"{self.words['rows'].capitalize()} without a usable image allowed", share.show(".1%")))
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
        rows: list[tuple[Cell, ...]] = [
            ("Columns that a new row has", found.at("columns").show("d")),
            (f"Training {self.words['rows']} without a usable image", found.at("without_image").show(",d")),
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
        row, group = self.words["row"], self.words["group"]
        whole = "" if row == group else f"All {row}s of a {group} are in one fold; "
        said = (f"{whole}nothing that is fitted sees the fold that it predicts".capitalize() + ".",)
        return Section("division", "How the data were divided", said, ("", ""), rows if folds else rows[2:])
