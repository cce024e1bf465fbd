"""Heads above image vectors, against plain computations."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from image_models.networks.fusions.concatenation import Concatenation
from image_models.networks.fusions.site_branches import SiteBranches
from image_models.networks.fusions.token_cross_attention import TokenCrossAttention
from image_models.networks.heads import classifier
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe, MetadataRecipe

SHAPE = MetadataShape(
    columns=("age", "age is missing", "site = back", "site = leg", "site = scalp"),
    sites=(2, 3, 4),
    groups=((0, 1), (2, 3, 4)),
)
RECIPE = ImageModelRecipe(
    name="m", backbone="lesion_net", metadata=MetadataRecipe(columns=("age", "site"), widths=(6, 4)), hidden=3
)
BACK, SCALP, NO_SITE = [0.4, 0.0, 1.0, 0.0, 0.0], [0.4, 0.0, 0.0, 0.0, 1.0], [0.4, 0.0, 0.0, 0.0, 0.0]


def lively(module: nn.Module) -> Any:
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    return module.eval()


def test_the_batch_norm_classifier_is_an_mlp() -> None:
    recipe = dataclasses.replace(RECIPE, classifier="batch_norm", dropout=0.4)
    layers = classifier(5, recipe, 7)
    assert [type(layer) for layer in layers] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout, nn.Linear]
    assert (layers[3].p, layers[4].out_features) == (0.4, 7)


def test_the_softmax_classifier_shares_one_among_the_features() -> None:
    layers = classifier(5, dataclasses.replace(RECIPE, classifier="softmax"), 7)
    assert [type(layer) for layer in layers] == [nn.Softmax, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    torch.testing.assert_close(layers[0](torch.randn(3, 5)).sum(1), torch.ones(3))


def test_weighted_vectors_of_branch_and_image_reach_the_classifier() -> None:
    torch.manual_seed(0)
    head = lively(Concatenation.head(5, SHAPE, RECIPE, 2))
    vectors, metadata = torch.randn(3, 5), torch.randn(3, 5)
    hidden = (metadata @ head.metadata[0].weight.T + head.metadata[0].bias).clamp(min=0)
    hidden = (hidden @ head.metadata[2].weight.T + head.metadata[2].bias).clamp(min=0)
    torch.testing.assert_close(head(vectors, metadata), head.classifier(torch.cat([vectors, hidden], 1)))


class TestSites:
    @pytest.fixture
    def head(self) -> SiteBranches:
        torch.manual_seed(0)
        made: SiteBranches = lively(SiteBranches(5, SHAPE, RECIPE, 2))
        return made

    def test_a_lesion_is_judged_by_its_own_site(self, head: SiteBranches) -> None:
        vectors, metadata = torch.randn(2, 5), torch.tensor([BACK, SCALP])
        assert head.metadata is not None
        joint = torch.cat([vectors, head.metadata(metadata[:, :2])], dim=1)
        wanted = torch.stack([head.classifiers[0](joint)[0], head.classifiers[2](joint)[1]])
        torch.testing.assert_close(head(vectors, metadata), wanted)

    def test_an_unknown_site_gets_the_learned_mixture(self, head: SiteBranches) -> None:
        vectors, metadata = torch.randn(1, 5), torch.tensor([NO_SITE])
        assert head.metadata is not None
        joint = torch.cat([vectors, head.metadata(metadata[:, :2])], dim=1)
        shares = head.mixture.exp() / head.mixture.exp().sum()
        wanted = sum(share * branch(joint) for share, branch in zip(shares, head.classifiers, strict=True))
        torch.testing.assert_close(head(vectors, metadata), wanted)
        assert SiteBranches(5, SHAPE, RECIPE, 2).mixture.softmax(0).tolist() == pytest.approx([1 / 3] * 3)

    def test_a_site_teaches_its_own_branch_alone(self, head: SiteBranches) -> None:
        head(torch.randn(4, 5), torch.tensor([BACK] * 4)).sum().backward()
        gradients = [branch[-1].weight.grad.abs().max() for branch in head.classifiers]  # type: ignore[index,union-attr]
        assert gradients[0] > 0
        assert gradients[1] == gradients[2] == 0
        assert head.mixture.grad is not None
        assert head.mixture.grad.abs().max() == 0

    def test_the_site_may_be_all_that_is_told(self) -> None:
        alone = MetadataShape(columns=("site = back", "site = leg"), sites=(0, 1), groups=((0, 1),))
        head = SiteBranches(5, alone, RECIPE, 7)
        assert head.metadata is None
        assert head(torch.randn(2, 5), torch.zeros(2, 2)).shape == (2, 7)


def test_places_and_columns_attend_to_each_other() -> None:
    """Lesion by lesion, with the attention of each side written out for a single head at a time."""
    torch.manual_seed(0)
    head = lively(TokenCrossAttention(5, SHAPE, RECIPE, 2)).double()
    tokens, metadata = torch.randn(2, 6, 5).double(), torch.randn(2, 5).double()

    def attend(layer: Any, asking: Tensor, asked: Tensor) -> Tensor:
        query, key, value = layer.query(asking), layer.key(asked), layer.value(asked)
        parts = []
        for q, k, v in zip(*(m.chunk(layer.heads, dim=1) for m in (query, key, value)), strict=True):
            parts.append(torch.softmax(q @ k.T / q.shape[1] ** 0.5, dim=1) @ v)
        answer: Tensor = layer.out(torch.cat(parts, dim=1))
        return answer

    wanted = []
    for row in range(2):
        places = head.image(tokens[row])
        facts = torch.stack([head.columns[0](metadata[row, :2]), head.columns[1](metadata[row, 2:])])
        seen = head.image_norm(places + attend(head.image_asks, places, facts)).mean(0)
        told = head.metadata_norm(facts + attend(head.metadata_asks, facts, places)).mean(0)
        wanted.append(head.classifier(torch.cat([seen, told])))
    torch.testing.assert_close(head(tokens, metadata), torch.stack(wanted))


def test_metadata_tokens_follow_the_groups_not_the_order() -> None:
    mixed = MetadataShape(columns=("a", "b", "c"), groups=((2, 0), (1,)))
    head = lively(TokenCrossAttention(5, mixed, RECIPE, 2))
    assert [column[0].in_features for column in head.columns] == [2, 1]
    tokens, metadata = torch.randn(1, 4, 5), torch.randn(1, 3)
    reordered = lively(TokenCrossAttention(5, MetadataShape(("c", "a", "b"), (), ((0, 1), (2,))), RECIPE, 2))
    reordered.load_state_dict(head.state_dict())
    torch.testing.assert_close(head(tokens, metadata), reordered(tokens, metadata[:, [2, 0, 1]]))
