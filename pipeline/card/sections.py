"""The sections of a card, each from the files of the run; one without figures is said to be unanswered."""

from data.scores.scores import SCORES
from pipeline.card.data_sections import DataAnswers
from pipeline.card.figures import Cell, Figure, Section, Source
from pipeline.report.ablation import study_of
from pipeline.report.evidence import FILE as EVIDENCE

ACTED_AT = (0.01, 0.03, 0.1)
"""Probabilities at which a clinician might act; the nearest on the report's curve are shown."""
SITE = "attribution"
"""The division of the report by where a lesion was photographed."""


class Answers(DataAnswers):
    """What the files say of each subject."""

    def sections(self) -> list[Section]:
        """All of them, in the order of the card."""
        return [
            self.model(), self.use(), self.data(), self.patients(), self.predictors(), self.missing(), self.quality(),
            self.division(), self.models(), self.tuning(), self.imbalance(), self.discrimination(), self.calibrated(),
            self.recalibrated(), self.utility(), self.thresholds(), self.subgroups(), self.sites(),
            self.robustness(), self.failures(), self.account(),
        ]  # fmt: skip

    def model(self) -> Section:
        """What it is."""
        facts = self.report.at("account")
        rows: list[tuple[Cell, ...]] = [
            ("Run", self.run.name),
            ("Description", self.recipe.at("description").show()),
            ("Finished", facts.at("finished").show()),
            ("Commit", facts.at("commit").show()),
            ("Data", Figure("invented" if self.run.invented else "real", "run.json#/invented")),
        ]
        return Section("model", "What it is", head=("", ""), rows=rows)

    def use(self) -> Section:
        """What it is for, and what not; rules of the software, not figures."""
        words = self.words
        what, alone, checked = f"to order {words['rows']} by suspicion", "", "its thresholds have"
        how = " (`fusionnetx recalibrate`)"
        if self.many:
            what, checked, how = f"to say which classes {words['rows']} may be of", "it has", ""
        elif words["row"] == "lesion" and words["group"] == "patient":
            what = "to order the lesions of one patient by how much they deserve a look"
            alone = ", not for a patient of whom only one lesion is given"
        said = [
            f"For research: {what}, for people who can judge the answer, on data like those below.",
            f"Not for a diagnosis, not for a decision without a person{alone}, and not at another site before "
            f"{checked} been checked there{how}.",
        ]
        if self.run.invented:
            said.append("The models have only ever seen invented lesions: what they say of patients means nothing.")
        return Section("use", "Intended use, and not", tuple(said))

    def models(self) -> Section:
        """Networks, boosters, blend."""
        rows: list[tuple[Cell, ...]] = [
            ("image model", model.at("name").show(), model.at("backbone").show(),
             model.at("epochs").show("d", "{} epochs"), model.at("image_size").show("d", "{} px"))
            for model in self.recipe.at("image_models").each()
        ]  # fmt: skip
        rows += [
            ("member", one.at("name").show(), one.at("booster").show(), one.at("iterations").show("d", "{} iterations"),
             Figure(f"seeds {', '.join(map(str, one.at('seeds').value))}", one.at("seeds").key))
            for one in self.recipe.at("tabular", "members").each()
        ]  # fmt: skip
        rows.append(("blend", "blend", self.recipe.at("tabular", "blend", "method").show(), "", ""))
        return Section("models", "Models", head=("Kind", "Name", "Made of", "Length", ""), rows=rows)

    def tuning(self) -> Section:
        """Searches, where there were any."""
        tune = self.recipe.at("tabular", "tune")
        found = self.report.at("tuning")
        rows: list[tuple[Cell, ...]] = []
        for one in found.each():
            rows += [(one.at("member").show(), Figure(f"{len(one.at('trials').value or ())}", one.at("trials").key))]
        if not rows and found:
            return Section("tuning", "Tuning", ("Nothing was searched for: parameters are those of the recipe.",))
        trials: list[tuple[Cell, ...]] = [("Trials asked for", tune.at("trials").show())]
        return Section("tuning", "Tuning", head=("Member", "Trials"), rows=rows or (trials if found else []))

    def imbalance(self) -> Section:
        """Resampling, and what it does to probabilities."""
        resample = self.recipe.at("tabular", "resample")
        names = {"method": "Resampling", "over_ratio": "Oversampled to", "under_ratio": "Undersampled to"}
        method = resample.at("method").value
        none, weighted = method == "none", method == "class_weights"
        rows: list[tuple[Cell, ...]] = [
            (label, resample.at(key).show())
            for key, label in names.items()
            if resample.at(key) and (key == "method" or not (none or weighted))
        ]
        rows.append(("Left out of training", self.recipe.at("tabular", "exclude").show()))
        said = ("Training parts alone are resampled; calibration undoes what that does to probabilities.",)
        if none or weighted:
            shift = "; classes have weights, and calibration undoes what that does to probabilities" * weighted
            said = (f"Nothing is resampled{shift}.",)
        return Section("imbalance", "Imbalance", said, ("", ""), rows)

    def discrimination(self) -> Section:
        """Cross-validated scores, and those of the test part where its answers are there."""
        parts = {"out of fold": self.metrics.at("cross_validated", "members")}
        parts |= {f"test, {name}": self.metrics.at("test", name) for name in self.metrics.at("test").value or {}}
        shown = dict.fromkeys((self.score, "auc", *(("balanced_accuracy", "macro_f1") if self.many else ())))
        rows: list[tuple[Cell, ...]] = [
            (part, name, *(found.at(name, score).interval(".4f" if score == self.score else ".3f") for score in shown))
            for part, found in parts.items()
            for name in found.value or {}
            if part == "out of fold" or name == "blend"
        ]
        reason = self.metrics.at("optimistic").value
        if malignant := self.report.at("classes", "malignant", "auc"):
            cells = (malignant.interval(".4f") if score == "auc" else "–" for score in shown)
            rows.append(("out of fold", "blend, malignant against the others", *cells))
        said = (self.intervals, *([f"Out of fold, {reason}."] if reason else [])) if rows else ()
        head = (self.words["rows"].capitalize(), "Column", *(SCORES[score].title for score in shown))
        return Section("discrimination", "Discrimination", said, head, rows)

    def calibrated(self) -> Section:
        """Before and after."""
        rows: list[tuple[Cell, ...]] = []
        for name, label in (("as_given", "as given"), ("calibrated", "calibrated, without its fold")):
            one = self.calibration.at(name)
            if one:
                rows.append(
                    (label, one.at("brier").interval(".4f"), one.at("log_loss").interval(".4f"),
                     one.at("calibration_error").interval(".4f"),
                     *(() if self.many else (one.at("slope").interval(".2f"), one.at("intercept").interval("+.2f"))))
                )  # fmt: skip
        head = ("Probabilities", "Brier", "Log loss", "Expected error", *(() if self.many else ("Slope", "Intercept")))
        method = self.calibration.at("calibrator", "method").value
        return Section("calibration", "Calibration", (f"Method: {method}.",) if method else (), head, rows)

    def recalibrated(self) -> Section:
        """Other sites' calibrations that lie with the run."""
        rows: list[tuple[Cell, ...]] = []
        for path in sorted((self.run.folder / "calibrations").glob("*.json")):
            site = Source.read(self.run.folder, f"calibrations/{path.name}").at("site")
            losses = site.at("log_loss")
            rows.append(
                (path.stem, site.at("patients").show(",d"), site.at("positives").show(",d"),
                 losses.at("before").show(".4f"), losses.at("after").show(".4f"))
            )  # fmt: skip
        head = ("Site", self.words["groups"].capitalize(), "Events", "Log loss before", "Log loss after")
        return Section("recalibration", "Recalibration at other sites", head=head, rows=rows)

    def utility(self) -> Section:
        """What must be looked at for each lesion found, and net benefit."""
        blend = self.metrics.at("cross_validated", "members", "blend")
        names = {"nnt_80": f"{self.words['rows'].capitalize()} per malignant one found, at 80 % sensitivity",
                 "nnt_90": "the same at 90 %",
                 "se_top_15": f"Sensitivity within the 15 highest of each {self.words['group']}"}  # fmt: skip
        rows: list[tuple[Cell, ...]] = [
            (label, blend.at(key).interval(".2f")) for key, label in names.items() if blend.at(key)
        ]
        curve = self.report.at("curves", "decision")
        grid = curve.at("threshold").value or ()
        for i in sorted({min(range(len(grid)), key=lambda j: abs(grid[j] - wanted)) for wanted in ACTED_AT if grid}):
            label = f"Net benefit per 1,000 {self.words['rows']}, acting at a probability of {grid[i]:.3g}"
            rows.append((label, curve.at("recalibrated", i).show(".2f")))
        return Section("utility", "Utility", head=("", "Blend, out of fold"), rows=rows)

    def thresholds(self) -> Section:
        """Outputs: what is kept for new patients."""
        rows: list[tuple[Cell, ...]] = []
        for one in self.calibration.at("thresholds").each():
            work = one.at("workload")
            rows.append(
                (one.at("target").show(".0%"), one.at("probability").show(".3g"), one.at("bound").show(".3f"),
                 work.at("sensitivity_of_patients").show(".3f"), work.at("specificity").show(".3f"),
                 work.at("lesions_per_patient").show(".1f"), work.at("nnt").show(".1f"))
            )  # fmt: skip
        said = (
            f"The target holds on average over samples of {self.words['groups']} like these, the bound in 95 of 100 "
            "samples; what each did is tried on folds that did not set it.",
        )
        head = (
            "Target",
            "Probability",
            "Bound",
            f"Sensitivity over {self.words['groups']}",
            "Specificity",
            f"{self.words['rows'].capitalize()} per {self.words['group']}",
            "NNT",
        )
        if self.many:
            return self.prediction_sets()
        return Section("thresholds", "Outputs and thresholds", said if rows else (), head, rows)

    def prediction_sets(self) -> Section:
        """Outputs of several classes: a probability of each, and the classes that cannot be ruled out."""
        found = self.report.at("decision", "coverage")
        rows: list[tuple[Cell, ...]] = [
            (f"Share of {one.at('name').value} whose set holds it", one.at("covered").show(".1%"))
            for one in found.at("covered").each()
        ]
        if found:
            rows.insert(0, ("Level asked for", self.report.at("decision", "level").show(".0%")))
            rows.append(("Classes in a set", found.at("size").show(".2f")))
            rows.append(("Uncertain: no single class is left", found.at("uncertain").show(".1%")))
        said = (
            "A probability for each class, and the set of those that cannot be ruled out; what the sets did is tried "
            "on folds that did not set them.",
        )
        return Section("thresholds", "Outputs: sets of classes", said if rows else (), ("", ""), rows)

    def subgroups(self) -> Section:
        """Fairness: scores by group."""
        rows = self.scored_groups([one for one in self.divisions if one.at("name").value not in ("fold", SITE)])
        said = ("The blend out of fold.", self.intervals) if rows else ()
        return Section("subgroups", "Subgroups", said, self.group_head, rows)

    @property
    def intervals(self) -> str:
        """What intervals are drawn over."""
        return f"With 95 % intervals over {self.words['groups']}."

    def sites(self) -> Section:
        """Heterogeneity between sites."""
        rows = self.scored_groups([one for one in self.divisions if one.at("name").value == SITE])
        study = Source(study_of(self.run, EVIDENCE), f"{EVIDENCE}#").at("clinics")
        scored = f" ({self.title})" if self.many else ""
        for told in study.at("told").value or ():
            for one in study.at("clinics").each():
                found = one.at("told", told, self.score)
                rows += [
                    (f"{one.at('name').value}, {kind} to the models, {told} {study.at('by').value} as an input{scored}",
                     one.at("lesions").show(",d"), *(() if self.many else (one.at("positives").show(",d"),)),
                     found.at(kind).interval(".4f"))
                    for kind in ("known", "unseen") if found.at(kind)
                ]  # fmt: skip
            fall = study.at("mean", told, self.score, "fall")
            empty = ("",) if self.many else ("", "")
            cost = f"Mean of what being unseen costs, {told} it{scored}"
            rows += [(cost, *empty, fall.interval("+.4f"))] if fall else []
        return Section("sites", "Heterogeneity between sites", (), self.group_head, rows)

    def robustness(self) -> Section:
        """Worse pictures and missing columns, where `fusionnetx evidence --robustness` asked."""
        study = Source(study_of(self.run, EVIDENCE), f"{EVIDENCE}#").at("robustness")
        rows: list[tuple[Cell, ...]] = [
            (row.at("title").show(), one.at("strength").show("", "{} " + str(row.at("unit").value or "")),
             one.at("scores", self.score).interval(".4f"))
            for row in study.at("faults").each() for one in row.at("rows").each()
        ]  # fmt: skip
        rows += [
            ("columns missing", one.at("name").show(), one.at("scores", self.score).interval(".4f"))
            for one in study.at("missing").each()
        ]
        if rows:
            rows.insert(0, ("as it is", "", study.at("as_it_is", self.score).interval(".4f")))
        return Section("robustness", "Robustness", head=("What is worse", "", self.title), rows=rows)

    def failures(self) -> Section:
        """The lesions that the blend got most wrong."""
        rows: list[tuple[Cell, ...]] = [
            (label, row.at("rank").show(",d"), row.at("probability").show(".4f"), row.at("patient_lesions").show(",d"))
            for key, label in (("malignant_ranked_lowest", "positive, ranked lowest"),
                               ("benign_ranked_highest", "negative, ranked highest"))
            for row in self.report.at("gallery", key).each()
        ]  # fmt: skip
        rows += [
            (f"{row.at('truth').value} called {row.at('called').value}", row.at("rank").show(",d"),
             row.at("probability").show(".4f"), row.at("patient_lesions").show(",d"))
            for row in self.report.at("gallery", "confidently_wrong").each()
        ]  # fmt: skip
        # No lesion is named: the card leaves with models that must not tell of their patients.
        words = self.words
        said = (f"Which {words['rows']} these are, and what they look like, is in the gallery of report.html.",)
        head = ("", "Rank by score", "Score", f"{words['rows'].capitalize()} of the {words['group']}")
        return Section("failures", "Failure analysis", said=said if rows else (), head=head, rows=rows)

    def account(self) -> Section:
        """Versions, seconds, energy."""
        facts = self.report.at("account")
        rows: list[tuple[Cell, ...]] = [
            (f"Seconds: {one.at('stage').value}", one.at("seconds").show(",.1f")) for one in facts.at("stages").each()
        ]
        rows += [(f"Version of {name}", facts.at("versions", name).show()) for name in facts.at("versions").value or {}]
        rows += [("Most memory in one process, MB", facts.at("peak_memory_mb").show(",d"))] if facts else []
        energy, said = facts.at("energy"), []
        for name, label in (("processor_joules", "processor packages"), ("card_joules", "graphics cards")):
            if one := energy.at(name):
                rows.append((f"Joules of {label}", one.at("joules").show(",.0f")))
                rows.append((f"Steps with that figure, of {energy.at('steps').value}", one.at("steps").show(",d")))
        if facts and not energy:
            said = ["Energy is not measured: the report was made by a version that did not measure; make it again."]
        elif energy.at("not_measured").value:
            said = [f"Energy is not measured: {'; '.join(energy.at('not_measured').value)}."]
        return Section("account", "Versions, seconds, energy", tuple(said), ("", ""), rows)
