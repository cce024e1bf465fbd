import json

import pytest

from image_models.networks.metadata_shape import MetadataShape

SHAPE = MetadataShape(
    columns=("age", "age is missing", "site = back", "site = leg"), sites=(2, 3), groups=((0, 1), (2, 3))
)


def test_it_survives_a_json_header() -> None:
    assert MetadataShape.from_json(json.loads(json.dumps(SHAPE.to_json()))) == SHAPE
    assert SHAPE.width == 4


def test_without_groups_every_input_is_one() -> None:
    assert MetadataShape(("a", "b")).groups == ((0,), (1,))


@pytest.mark.parametrize("groups", [((0, 1),), ((0, 1), (1, 2, 3)), ((0, 1, 2), (3, 4))])
def test_groups_hold_every_input_once(groups: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="exactly once"):
        MetadataShape(SHAPE.columns, (), groups)


@pytest.mark.parametrize("sites", [(2, 2), (4,), (-1,)])
def test_sites_are_positions(sites: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="distinct positions among 4 inputs"):
        MetadataShape(SHAPE.columns, sites)
