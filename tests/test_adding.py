"""docs/adding: every example is taken as it stands, put into one file, and run from recipe to report."""

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.files import read_json
from data.readers import READERS
from features.families.registry import FAMILIES
from image_models.networks.registries import FUSIONS, NETWORKS
from tabular.learners.registry import LEARNERS

PAGES = Path(__file__).parents[1] / "docs" / "adding"
PLACES = {
    "nearest": ("learner.md", 0, "tabular.learners", LEARNERS),
    "darkest": ("feature.md", 0, "features.families", FAMILIES),
    "clinic": ("data-set.md", 0, "data.readers", READERS),
    "two_scales": ("network.md", 0, "image_models.networks.own", NETWORKS),
    "difference": ("network.md", 1, "image_models.networks.fusions", FUSIONS),
}
"""File -> page, number of the code block there, package, registry."""

pytestmark = pytest.mark.slow


def blocks(page: str, language: str) -> list[str]:
    """The code of a page."""
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every example in a file of its own, found where the project looks."""
    for name, (page, number, package, _) in PLACES.items():
        folder = tmp_path / "added" / package
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(blocks(page, "python")[number])
        module = import_module(package)
        if str(folder) not in module.__path__:
            monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder)])
    forget()
    yield
    monkeypatch.undo()
    forget()


def forget() -> None:
    """Look again, and not at modules that other tests have loaded under the same names."""
    for name, (_, _, package, registry) in PLACES.items():
        sys.modules.pop(f"{package}.{name}", None)
        registry.look_again()


@pytest.mark.usefixtures("added")
def test_one_of_each_runs_from_recipe_to_report(
    cli: Any, cohort_dir: Path, tmp_path: Path, variant: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(raw: dict[str, Any]) -> None:
        (member,) = tomllib.loads(blocks("learner.md", "toml")[0])["tabular"]["members"]
        (network,) = tomllib.loads(blocks("network.md", "toml")[0])["image_models"]
        raw["tabular"]["members"] = [raw["tabular"]["members"][1], member]
        raw["image_models"] = [{**network, "epochs": 1, "hidden": 4, "precision": "fp32"}]
        raw["features"]["families"] = ["published", "darkest", "image_logit"]

    run = tmp_path / "run"
    recipe = variant(change)
    answer = cli("submission", "--recipe", recipe, "--data", cohort_dir, "--run", run)
    assert answer.code == 0, answer
    table = pl.read_parquet(run / "tabular" / "oof.parquet")
    assert {"lightgbm", "nearest", "blend"} <= set(table.columns)
    assert pl.read_parquet(run / "oof" / "oof.parquet")["mine"].is_between(0, 1).all()
    encoder = (run / "features" / "fold_0" / "encoder.json").read_text()
    assert "L_above_darkest" in encoder
    answer = cli("report", "--run", run)
    assert answer.code == 0, answer
    page = (run / "report.html").read_text()
    assert "nearest" in page
    assert "L_above_darkest" in page
    answer = cli("verify", "--run", run)
    assert answer.code == 0, answer
    without = cli("ablation", "--run", run, "--only", "without_patient_features")
    assert without.code == 0, without
    assert (
        "L_above_darkest"
        not in (run / "ablation" / "without_patient_features" / "features" / "fold_0" / "encoder.json").read_text()
    )


@pytest.mark.usefixtures("added")
def test_a_data_set_runs_from_recipe_to_report(cli: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    folder = tmp_path / "clinic"
    folder.mkdir()
    malignant = rng.random(300) < 0.2
    frame = pl.DataFrame(
        {
            "id": [f"a{i}" for i in range(300)],
            "person": [f"p{i // 3}" for i in range(300)],
            "malignant": malignant.astype(int),
            "age": rng.integers(20, 80, 300),
            "width_mm": rng.normal(3, 1, 300) + malignant,
        }
    )
    frame.write_csv(folder / "lesions.csv")
    frame.drop("malignant").with_columns(id="new_" + pl.col("id")).head(30).write_csv(folder / "new.csv")
    recipe = tmp_path / "clinic.toml"
    recipe.write_text(
        blocks("data-set.md", "toml")[0]
        + "[folds]\ncount = 3\n[[tabular.members]]\nname = 'trees'\nbooster = 'lightgbm'\niterations = 20\n"
        + "parameters = { min_data_in_leaf = 10 }\n[tabular.resample]\nmethod = 'none'\n"
    )
    run = tmp_path / "run"
    answer = cli("submission", "--recipe", recipe, "--data", folder, "--run", run)
    assert answer.code == 0, answer
    assert (run / "submission.csv").read_text().startswith("id,malignant\nnew_a0,")
    assert read_json(run / "metrics.json")["score"] == "auc"
    assert not read_json(run / "run.json")["invented"]
    answer = cli("report", "--run", run)
    assert answer.code == 0, answer


def test_without_the_files_nothing_of_them_is_known() -> None:
    for name, (*_, registry) in PLACES.items():
        assert name not in registry
