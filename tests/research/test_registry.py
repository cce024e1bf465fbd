"""The registry of published systems: figures by data set, parameters, names."""

import dataclasses

import pytest
import torch

from data.errors import RecipeError
from data.readers.reading import ToldColumns
from image_models.networks.metadata_shape import MetadataShape
from image_models.networks.zoo import build
from pipeline.recipe import load_recipe
from research.systems.protocols import (
    protocols_named,
)
from research.systems.registry import SOURCES, SYSTEMS, System, chosen_systems
from research.systems.run import about, unable, why_not
from research.systems.table import summary_cells

HAM10000_INPUTS = MetadataShape(
    columns=("age", "age missing", "sex = female", "sex = male", *(f"localization = {i}" for i in range(14))),
    sites=tuple(range(4, 18)),
    groups=((0, 1), (2, 3), tuple(range(4, 18))),
)
"""What age, sex and site of HAM10000 become; the 14 sites it names."""


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.name)
def test_every_system_is_built_at_full_size_and_counted(system: System) -> None:
    """DenseNet121's features have 6,953,856 parameters; none is empty."""
    known = {"s3_densenet121": 6_953_856 + 1_024 * 128 + 128 + 128 * 7 + 7}
    assert system.parameters == known.get(system.name, system.parameters)
    assert system.parameters > 10_000
    counted = 0
    for model in load_recipe(system.recipe).image_models if system.two_stages else (system.network,):
        # Shapes alone: on the meta device nothing is computed, and B4 at 1,024 px costs no more than a small network.
        with torch.device("meta"):
            shape = HAM10000_INPUTS if model.metadata.columns else None
            network = build(dataclasses.replace(model, pretrained="none"), 7, metadata=shape)
        counted += sum(parameter.numel() for parameter in network.parameters())
    assert counted == system.parameters


def test_published_figures_and_recipes_are_those_of_the_sources() -> None:
    by_name = {system.name: system for system in SYSTEMS}
    assert len(by_name) == len(SYSTEMS)
    assert {system.source for system in SYSTEMS} == set(SOURCES)
    assert by_name["s5_cross_attention"].published == {"HAM10000, 7 classes": {"accuracy": 0.9886}}
    assert by_name["s3_frozen_b0"].published == {"HAM10000, 7 classes": {"accuracy": 0.7239}}
    assert by_name["s4_site_branches"].published["about 3,300 images, melanoma or not"]["auc"] == 0.945
    fusions = [system.network.fusion for system in SYSTEMS if system.source == "S5"][2:]
    assert [f"s5_{fusion}" for fusion in fusions] == [s.name for s in SYSTEMS if s.source == "S5"][2:]
    for system in SYSTEMS:
        if not system.two_stages:
            assert system.network.name == system.model


def test_a_figure_stands_beside_ours_of_the_same_data_only() -> None:
    both_stages, site = chosen_systems("s1_fusionnetx,s4_site_branches")
    assert about(both_stages, "ham10000")["published"] == {"accuracy": 0.952, "auc": 0.995, "average_precision": 0.885}
    assert about(both_stages, "ph2")["published"] == {"accuracy": 0.95, "auc": 0.9844, "average_precision": 0.9663}
    assert about(both_stages, "ph2_binary")["published"] == about(both_stages, "ph2")["published"]
    scores = {name: {"estimate": 0.5} for name in ("accuracy", "auc")}
    cost = dict.fromkeys(("parameters", "megabytes", "ms_per_image", "seconds_per_epoch"), 1.0)

    def published(system: System, reader: str, data_set: str) -> str:
        result = {**about(system, reader), "protocol": "sound", "scores": scores, "cost": cost}
        return summary_cells({"data_set": data_set, "results": [result]})[1][0][2]

    assert published(both_stages, "ham10000", "HAM10000, 7 classes") == "0.952"
    assert published(both_stages, "ph2_binary", "PH2") == "0.950"
    assert published(both_stages, "isic2024", "isic2024") == "0.952 on HAM10000, 7 classes"
    assert published(site, "ham10000", "HAM10000, 7 classes") == "0.945 on about 3,300 images, melanoma or not"


def test_names_and_sources_choose_systems() -> None:
    assert [system.name for system in chosen_systems("s3_custom_cnn,s2")][:2] == ["s3_custom_cnn", "s2_hybrid"]
    assert all(system.roster for system in chosen_systems(None))
    with pytest.raises(RecipeError, match="did you mean s5_gated"):
        chosen_systems("s5_gate")
    assert protocols_named("sound,published") == ("published", "sound")
    with pytest.raises(RecipeError, match="published or sound"):
        protocols_named("loud")


def test_a_system_that_cannot_be_told_is_left_out() -> None:
    sites, clinical = chosen_systems("s4_site_branches,s5_clinical")
    assert unable(sites.network, ToldColumns(("age",))) == "the data set does not say where on the body a lesion is"
    assert unable(clinical.network, ToldColumns()) is not None
    assert why_not(sites, load_recipe("ph2")) is not None
    assert why_not(clinical, load_recipe("ham10000")) is None
    assert why_not(sites, load_recipe("tcga_skcm")) == "the data set has no images"
