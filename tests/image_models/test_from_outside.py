"""A fusion and a network from a notebook: one class each, named in a recipe, trained for an epoch."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data.errors import RecipeError
from image_models.networks.fusion import Fusion
from image_models.networks.model_file import load_model
from image_models.networks.registries import FUSIONS, NETWORKS
from image_models.predict import predict
from image_models.recipe import MetadataRecipe
from image_models.training.train import FoldTask, Places, train_fold

pytestmark = pytest.mark.usefixtures("single_threaded")


class Difference(Fusion):
    """z = x' - y, as wide as y."""

    name = "difference"

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = metadata_width
        self.image = nn.Linear(image_width, metadata_width)

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Subtract."""
        difference: Tensor = self.image(image) - metadata
        return difference


class OneLayer(nn.Module):
    """Images to maps by a single convolution."""

    name = "one_layer"
    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 8, 8)

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the maps."""
        maps: Tensor = self.layer(images)
        return maps


@pytest.fixture
def added():
    FUSIONS.add(Difference)
    NETWORKS.add(OneLayer)
    yield
    FUSIONS.remove("difference")
    NETWORKS.remove("one_layer")


def test_they_are_trained_and_predict(added, tmp_path, toy_lesions, toy_recipe, told):
    recipe = toy_recipe(
        backbone="one_layer",
        fusion="difference",
        metadata=MetadataRecipe(columns=("age", "site"), widths=(6,)),
        epochs=1,
    )
    lesions = told(toy_lesions())
    trained = train_fold(FoldTask(recipe, lesions, np.arange(48), 1, "x"), Places(tmp_path), device="cpu")
    assert isinstance(trained.network.head.fusion, Difference)
    assert isinstance(trained.network.branches[0].backbone, OneLayer)
    again = load_model(tmp_path / "model.safetensors", recipe, 2)
    rows = np.arange(48, 60)
    found = [predict(network, recipe, lesions, rows, device="cpu") for network in (trained.network, again)]
    np.testing.assert_array_equal(*found)


def test_without_them_their_names_are_unknown(toy_recipe):
    with pytest.raises(ValueError, match="no fusion is called 'difference'"):
        toy_recipe(fusion="difference")


@pytest.mark.parametrize("registry", [FUSIONS, NETWORKS], ids=["fusions", "networks"])
def test_a_file_is_called_what_it_holds(registry):
    assert {name: registry[name].name for name in registry} == {name: name for name in registry}
    assert len(registry) == len(list(registry)) > 3
    with pytest.raises(RecipeError, match="there is already a"):
        registry.add(registry[next(iter(registry))])


def test_every_fusion_makes_a_head(toy_recipe, told, toy_lesions):
    shape = told(toy_lesions()).metadata_shape
    recipe = toy_recipe(metadata=MetadataRecipe(columns=("age", "site"), widths=(8,)))
    for fusion in FUSIONS.values():
        vectors = torch.randn(2, 5, 7) if fusion.places else torch.randn(2, 7)
        assert fusion.head(7, shape, recipe, 3)(vectors, torch.zeros(2, shape.width)).shape == (2, 3)
