import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import RecipeError
from data.files import fingerprint
from pipeline.recipe import (
    Recipe,
    apply_change,
    find_recipe,
    load_recipe,
    parse_recipe,
    recipe_text,
    shipped_recipes,
)


def refusal(recipe: Path | str, *changes: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(recipe), changes)
    return str(caught.value)


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads_and_says_what_it_is(name: str):
    recipe = load_recipe(name)
    assert recipe.description
    assert recipe.tabular.members
    assert parse_recipe(tomllib.loads(recipe_text(recipe)), "again") == recipe


def test_the_papers_recipe_and_the_demo_are_shipped():
    assert {"demo", "fusionnetx"} <= set(shipped_recipes())
    assert [model.name for model in load_recipe("fusionnetx").image_models] == [
        "convnextv2_nano", "vit_tiny", "vit_tiny_relabelled", "vit_small_relabelled"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "path", "hint"),
    [
        ("sead=1", "sead = 1", "seed"),
        ("data.image_sise=3", "data.image_sise = 3", "image_size"),
        ("data.synthetic.lesion=3", "data.synthetic.lesion = 3", "lesions"),
        ("folds.cont=3", "folds.cont = 3", "count"),
        ("image_models[0].learning_rat=1.0", "image_models[0].learning_rat = 1.0", "learning_rate"),
        ("image_models[wide].epoch=3", "image_models[1].epoch = 3", "epochs"),
        (
            "image_models[0].augment.rotation_degree=3",
            "image_models[0].augment.rotation_degree = 3",
            "rotation_degrees",
        ),
        ("features.sett='x'", "features.sett = 'x'", "set"),
        ("tabular.blnd=1", "tabular.blnd = 1", "blend"),
        ("tabular.members[0].boster='x'", "tabular.members[0].boster = 'x'", "booster"),
        ("tabular.members[catboost].parameters.depht=3", "tabular.members[2].parameters", "depth"),
        ("tabular.resample.over_ration=1", "tabular.resample.over_ration = 1", "over_ratio"),
        ("tabular.blend.metod='mean'", "tabular.blend.metod = 'mean'", "method"),
        ("tabular.tune.trial=3", "tabular.tune.trial = 3", "trials"),
        ("tabular.tune.spaces.lightgbm.depth.hi=3", "tabular.tune.spaces.lightgbm.depth.hi = 3", "high"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(tiny_recipe: Path, change: str, path: str, hint: str):
    message = refusal(tiny_recipe, change)
    assert str(tiny_recipe) in message
    assert f"  {path}: " in message
    assert f"did you mean {hint!r}?" in message


@pytest.mark.parametrize(
    ("change", "path", "what"),
    [
        ("seed='x'", "seed = 'x'", "valid integer"),
        ("seed=1.5", "seed = 1.5", "valid integer"),
        ("seed=true", "seed = True", "valid integer"),
        ("seed=-1", "seed = -1", "greater than or equal to 0"),
        ("data=3", "data = 3", "an object"),
        ("data.reader='folder_of_cats'", "data.reader = 'folder_of_cats'", "'isic2024'"),
        ("image_models=3", "image_models = 3", "valid array"),
        ("image_models[0]=3", "image_models[0] = 3", "an object"),
        ("image_models[0].epochs='many'", "image_models[0].epochs = 'many'", "valid integer"),
        ("image_models[1].dropout=true", "image_models[1].dropout = True", "valid number"),
        ("image_models[0].augment.flip=1", "image_models[0].augment.flip = 1", "valid boolean"),
        ("image_models[0].augment.crop_scale=[0.5]", "image_models[0].augment.crop_scale = [0.5]", "one more entry"),
        ("image_models[0].augment.crop_scale=[0.1,0.2,0.3]", "image_models[0].augment.crop_scale", "at most 2"),
        ("features.families='size'", "features.families = 'size'", "valid array"),
        ("features.families[0]='sise'", "features.families", "did you mean 'size'?"),
        ("tabular.members[0].seeds=3", "tabular.members[0].seeds = 3", "valid array"),
        ("tabular.members[0].booster='forest'", "tabular.members[0].booster = 'forest'", "'catboost'"),
        ("image_models[0].learning_rate=inf", "image_models[0].learning_rate = inf", "finite"),
        ("image_models[0].augment.crop_scale=[nan,1.0]", "image_models[0].augment.crop_scale[0] = nan", "finite"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(tiny_recipe: Path, change: str, path: str, what: str):
    message = refusal(tiny_recipe, change)
    line = next(line for line in message.splitlines() if line.startswith(f"  {path}: "))
    assert what in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("image_models[0].epochs=0", ["image_models[0]", "epochs = 0", "at least 1"]),
        ("image_models[0].minimum_learning_rate=1.0", ["minimum_learning_rate = 1.0", "at most learning_rate (0.003)"]),
        ("image_models[0].augment.crop_scale=[0.9,0.1]", ["image_models[0].augment", "crop_scale = (0.9, 0.1)"]),
        ("data.synthetic.malignant=599", ["data.synthetic", "malignant = 599"]),
        ("tabular.resample.over_ratio=0.9", ["tabular.resample", "over_ratio = 0.9", "under_ratio = 0.5"]),
        ("tabular.members[0].seeds=[1,1]", ["tabular.members[0].seeds", "different"]),
        ("tabular.tune.members=['forest']", ["tune.members", "'forest'", "catboost"]),
        ("tabular.tune.spaces.lightgbm.max_depth={low=3,high=2}", ["max_depth", "low = 3", "high = 2"]),
        ("features.extra_columns=['iddx_1']", ["features.extra_columns", "iddx_1", "never a feature"]),
        ("image_models[0].name='wide'", ["image_models", "two entries are named 'wide'"]),
        ("tabular.members[0].name='catboost'", ["members", "two entries are named 'catboost'"]),
        ("image_models[0].name='catboost'", ["an image model and a member", "'catboost'"]),
        ("image_models[0].name='fold'", ["image_models", "'fold'", "choose another"]),
        ("tabular.members[0].name='blend'", ["tabular.members", "'blend'", "choose another"]),
        ("image_models[0].name='../up'", ["image_models[0]", "name = '../up'"]),
    ],
)
def test_an_impossible_combination_is_explained(tiny_recipe: Path, change: str, words: list[str]):
    message = refusal(tiny_recipe, change)
    assert all(word in message for word in words), message


def test_all_mistakes_of_a_recipe_come_in_one_message(tiny_recipe: Path):
    message = refusal(tiny_recipe, "seed='x'", "folds.cont=3", "image_models[*].epochs='many'")
    assert [line.split(" = ")[0] for line in message.splitlines()[1:]] == [
        "  seed", "  folds.cont", "  image_models[0].epochs", "  image_models[1].epochs"
    ]  # fmt: skip


def test_a_key_that_is_required_is_named(tmp_path: Path):
    path = tmp_path / "half.toml"
    path.write_text('[[image_models]]\nname = "a"\n')
    assert "image_models[0].backbone: this key is required" in refusal(path)


def test_a_file_that_is_no_toml_is_refused_with_its_line(tmp_path: Path):
    path = tmp_path / "broken.toml"
    path.write_text("seed = 1\n[data\n")
    assert str(path) in (message := refusal(path))
    assert "not valid TOML" in message
    assert "line 2" in message
    path.write_bytes(b"description = '\xff'")
    assert "not valid TOML" in refusal(path)


def test_a_recipe_that_is_not_there(tmp_path: Path):
    assert "does not exist" in refusal(tmp_path / "nothing.toml")
    message = refusal("fusionet")
    assert "did you mean 'fusionnetx'?" in message
    assert "demo" in message
    assert find_recipe("demo").is_file()


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("seed=8", lambda r: r.seed == 8),
        ("description=plain words = a text", lambda r: r.description == "plain words = a text"),
        ("description='8'", lambda r: r.description == "8"),
        ("image_models[1].epochs=3", lambda r: [m.epochs for m in r.image_models] == [1, 3]),
        ("image_models[narrow].epochs=3", lambda r: [m.epochs for m in r.image_models] == [3, 1]),
        ("image_models[*].epochs=3", lambda r: [m.epochs for m in r.image_models] == [3, 3]),
        ("image_models[*].augment.crop_scale=[0.5,1.0]", lambda r: r.image_models[1].augment.crop_scale == (0.5, 1.0)),
        ("image_models[0]={name='x',backbone='lesion_net'}", lambda r: r.image_models[0].name == "x"),
        ("image_models=[]", lambda r: r.image_models == ()),
        ("features.families[0]='size'", lambda r: r.features.families[0] == "size"),
        ("tabular.members[xgboost].parameters.max_depth=2",
         lambda r: r.tabular.members[3].parameters["max_depth"] == 2),
        ("tabular.blend.method=rank_mean", lambda r: r.tabular.blend.method == "rank_mean"),
        ("tabular.tune.spaces.lightgbm.max_depth={low=2,high=4}",
         lambda r: r.tabular.tune.spaces["lightgbm"]["max_depth"].high == 4),
    ],
)  # fmt: skip
def test_set_changes_what_it_names(tiny_recipe: Path, change: str, read: Any):
    assert read(load_recipe(str(tiny_recipe), [change]))


def test_later_changes_win(tiny_recipe: Path):
    assert load_recipe(str(tiny_recipe), ["seed=8", "seed=9"]).seed == 9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("seed", ["--set seed", "key=value"]),
        ("=3", ["--set =3", "key=value"]),
        ("image_models[5].epochs=1", ["no entry '5'", "narrow, wide"]),
        ("image_models[-1].epochs=1", ["no entry '-1'"]),
        ("image_models[narow].epochs=1", ["no entry 'narow'", "did you mean 'narrow'?"]),
        ("image_models.epochs=1", ["name an entry of the list", "image_models[0].epochs"]),
        ("features.families.x=1", ["name an entry of the list"]),
        ("seed.x=1", ["'x'", "single value 7"]),
        ("seed.x.y=1", ["'x'", "single value 7"]),
        ("features.families[0].x=1", ["'x'", "single value 'published'"]),
        ("description.x.y=1", ["'x'", "single value"]),
    ],
)
def test_a_set_that_leads_nowhere_is_explained(tiny_recipe: Path, change: str, words: list[str]):
    message = refusal(tiny_recipe, change)
    assert change in message
    assert all(word in message for word in words), message


def shuffled(value: Any, draw: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key], draw) for key in draw(st.permutations(list(value)))}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [shuffled(entry, draw) for entry in value]
    return value


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_order_of_keys_does_not_matter(data: st.DataObject):
    raw = tomllib.loads(find_recipe("demo").read_text())
    again = parse_recipe(shuffled(raw, data.draw), "shuffled")
    straight = parse_recipe(raw, "straight")
    assert again == straight
    assert fingerprint(again.model_dump(mode="json")) == fingerprint(straight.model_dump(mode="json"))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
shares = st.floats(0, 1, exclude_max=True)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "description": texts,
    "seed": st.integers(0, 2**62),
    "data.max_missing_images": shares,
    "data.workers": st.integers(1, 64),
    "data.synthetic.seed": st.integers(0, 2**31),
    "folds.file": texts,
    "image_models[*].learning_rate": st.floats(1e-5, 100),
    "image_models[0].dropout": shares,
    "image_models[1].pretrained": texts,
    "image_models[0].class_weights": st.one_of(
        st.just("balanced"), st.lists(st.floats(0.1, 9), min_size=2, max_size=2)
    ),
    "image_models[0].augment.crop_ratio": st.floats(0.1, 10).map(lambda low: [low, 2 * low]),
    "features.epsilon": st.floats(1e-300, 1),
    "features.extra_columns": st.lists(texts, max_size=3),
    "features.categories": st.sampled_from(["one_hot", "native", "ordinal", "none"]),
    "tabular.members[0].seeds": st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3, unique=True),
    "tabular.members[3].parameters.max_depth": st.integers(1, 12),
    "tabular.tune.spaces.lightgbm.num_leaves": st.fixed_dictionaries({"low": st.just(2), "high": st.integers(3, 99)}),
    "tabular.tune.spaces.xgboost.max_depth": st.fixed_dictionaries(
        {"choices": st.lists(st.integers(1, 9), min_size=1, max_size=4)}
    ),
    "tabular.nested": st.booleans(),
}


def in_toml(value: Any) -> str:
    """A value as `--set` takes it: JSON, but for the inline table and DEL."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {in_toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({}, optional=CHANGES))
def test_the_recorded_recipe_reads_back_to_the_same_recipe(changes: dict[str, Any]):
    raw = tomllib.loads(find_recipe("demo").read_text())
    for key, value in changes.items():
        apply_change(raw, f"{key}={in_toml(value)}")
    recipe = parse_recipe(raw, "changed")
    text = recipe_text(recipe)
    assert parse_recipe(tomllib.loads(text), "again") == recipe
    assert recipe_text(parse_recipe(tomllib.loads(text), "again")) == text


def test_the_recorded_recipe_says_every_default():
    recorded = tomllib.loads(recipe_text(Recipe()))
    assert json.loads(Recipe().model_dump_json(exclude_none=True)) == recorded
