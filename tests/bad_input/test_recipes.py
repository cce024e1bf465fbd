"""Bad recipes. They are read before anything else, so `check` without sound data serves to try them."""

from collections.abc import Callable

import pytest

from tests.bad_input.bench import Bench, Row, chosen
from tests.bad_input.of_runs import pickled
from tests.damage import cut, edit

USED = ("--recipe", "{root}/bad.toml")


def written(change: Callable[[bytes], bytes]) -> Callable[[Bench], object]:
    """The tiny recipe with other bytes."""
    return lambda b: (b.root / "bad.toml").write_bytes(change(b.recipe.read_bytes()))


def bad(name: str, old: str, new: str, *words: str) -> Row:
    """The tiny recipe with one text replaced."""

    def change(whole: bytes) -> bytes:
        assert old.encode() in whole
        return whole.replace(old.encode(), new.encode(), 1)

    return Row(name, written(change), words, options=USED)


def option(name: str, change: str, *words: str) -> Row:
    """The tiny recipe with one `--set`."""
    return Row(name, lambda b: None, words, options=("--set", change))


def raw(name: str, change: Callable[[bytes], bytes], *words: str) -> Row:
    return Row(name, written(change), words, options=USED)


ROWS = [
    # Each kind of value where another is needed
    bad("text for a whole number", "seed = 7", 'seed = "7"', "seed = '7'", "valid integer"),
    bad("decimals for a whole number", "seed = 7", "seed = 7.5", "seed = 7.5", "integer"),
    bad("true for a whole number", "seed = 7", "seed = true", "seed = True", "valid integer"),
    bad("a date for a whole number", "seed = 7", "seed = 1979-05-27", "seed", "integer"),
    bad("a list for a whole number", "seed = 7", "seed = [7]", "seed", "valid integer"),
    bad("a table for a whole number", "seed = 7", "seed = { a = 1 }", "seed", "valid integer"),
    bad("a negative seed", "seed = 7", "seed = -7", "seed = -7", "greater than or equal to 0"),
    bad("text for a number", "learning_rate = 3e-3", 'learning_rate = "fast"', "learning_rate = 'fast'"),
    bad("infinity", "learning_rate = 3e-3", "learning_rate = inf", "learning_rate = inf: a finite number is needed"),
    bad("no number", "learning_rate = 3e-3", "learning_rate = nan", "learning_rate = nan: a finite number is needed"),
    bad("a number for text", 'backbone = "lesion_net"', "backbone = 5", "backbone = 5"),
    bad("a number for a switch", "image_columns = false", "image_columns = 0", "image_columns = 0"),
    bad("text for a list", 'families = ["published",', 'families = "published"\nx = ["published",', "families"),
    bad("a number in a list of texts", '["published",', "[1,", "families[0] = 1"),
    # Values that nothing can be made of
    bad("one fold", "count = 3", "count = 1", "folds.count = 1"),
    bad("no epochs", "epochs = 1", "epochs = 0", "epochs"),
    bad("a negative learning rate", "learning_rate = 3e-3", "learning_rate = -1.0", "learning_rate"),
    bad("images of no size", "image_size = 32", "image_size = 0", "image_size"),
    bad("images of a million pixels' side", "image_size = 32", "image_size = 1_000_000", "image_size"),
    bad("a share above one", "max_missing_images = 0.05", "max_missing_images = 1.5", "max_missing_images = 1.5"),
    bad("an unknown booster", '"lightgbm"\nimage', '"lightgbn"\nimage', "booster", "lightgbn"),
    bad("an unknown family", '"colour"', '"color"', "color", "colour"),
    bad("an unknown method", '"over_then_under"', '"smote"', "method", "smote"),
    bad("an unknown booster parameter", "min_child_weight", "min_kid_weight", "min_kid_weight"),
    bad("text for a booster's number", "min_child_weight = 1", 'min_child_weight = "../.."', "should be a number"),
    # Names and keys
    bad("an unknown key", "seed = 7", "sead = 7", "sead = 7: unknown key; did you mean 'seed'?"),
    bad("an unknown table", "[data]", "[date]", "date", "unknown key; did you mean 'data'?"),
    bad("a key left out", 'backbone = "lesion_net"\n', "", "backbone", "required"),
    bad("a key twice", "seed = 7", "seed = 7\nseed = 8", "is not valid TOML", "line"),
    bad("two models of one name", 'name = "wide"', 'name = "narrow"', "two entries are named 'narrow'"),
    bad("a model named like a member", 'name = "wide"', 'name = "catboost"', "both named 'catboost'"),
    bad("a model named like a column", 'name = "wide"', 'name = "fold"', "'fold' is a column of every table"),
    bad("a model named to leave the run folder", 'name = "wide"', 'name = "../../wide"', "../../wide"),
    bad("a member named to leave the run folder", 'name = "xgboost"', 'name = "/etc/x"', "/etc/x"),
    bad("a model's name too long for a folder", 'name = "wide"', f'name = "{"x" * 300}"', "at most 100 bytes"),
    bad("a member's name too long for a folder", 'name = "xgboost"', f'name = "{"x" * 300}"', "at most 100"),
    bad("a name of nothing", 'name = "wide"', 'name = ""', "name"),
    # The text itself
    raw("no TOML", lambda w: b"seed: 7\n", "bad.toml is not valid TOML"),
    raw("cut short", lambda w: w[: w.index(b"hidden = 16") + 3], "bad.toml is not valid TOML"),
    raw("latin-1", lambda w: w.replace(b"Seconds", b"S\xe9conds"), "bad.toml is not valid TOML", "utf-8"),
    raw("UTF-16", lambda w: w.decode().encode("utf-16"), "bad.toml is not valid TOML"),
    raw("zero bytes", lambda w: b"\0" + w, "bad.toml is not valid TOML"),
    raw("a pickle", lambda w: pickled(), "bad.toml is not valid TOML"),
    raw("10,000 brackets", lambda w: b"seed = " + b"[" * 10_000, "bad.toml is not valid TOML"),
    raw("100,000 dots in a key", lambda w: b"a." * 100_000 + b"a = 1", "bad.toml has 200,005 bytes"),
    raw("5,000 dots in a key", lambda w: b"a." * 5_000 + b"a = 1", "line 1 has 5,000 dots"),
    raw("a number of 5,000 digits", lambda w: b"seed = " + b"9" * 5_000, "bad.toml is not valid TOML"),
    raw("a number of 4,000 digits", lambda w: b"seed = " + b"9" * 4_000, "a whole number of more than 20 digits"),
    Row("no file", lambda b: None, ("recipe file", "does not exist"), options=USED),
    Row("a folder", lambda b: (b.root / "bad.toml").mkdir(), ("recipe file", "does not exist"), options=USED),
    # `--set`
    option("a set without a value", "seed", "--set seed: write key=value"),
    option("a set of an unknown key", "sead=1", "sead = 1: unknown key; did you mean 'seed'?"),
    option("a set of an unknown model", "image_models[slim].epochs=1", "no entry 'slim'", "narrow, wide"),
    option("a set below a value", "seed.x=1", "'x' stands under the single value 7"),
    option("a set of the wrong kind", "image_models[wide].epochs=many", "image_models[1].epochs = 'many'"),
    option("text for a table", "folds=three", "folds = 'three'"),
    option("a set of 10,000 brackets", "seed=" + "[" * 10_000, "seed"),
    option("a set of two lines", "seed=1\nseed=2", "one key and one value are needed"),
]


@pytest.mark.parametrize("row", chosen(ROWS), ids=lambda row: row.name)
def test_recipes(bench: Bench, row: Row) -> None:
    row.damage(bench)
    bench.tried(row, "check", "--data", bench.root, "--recipe", bench.recipe)


def test_a_record_of_the_recipe_that_is_damaged_is_named(bench: Bench) -> None:
    """A run's own copy of its recipe is read with the same care."""
    cut(bench.run / "recipe.toml")
    edit(bench.run / "recipe.toml", lambda whole: whole + b'\nx = "')
    bench.tried(Row("x", lambda b: None, ("recipe.toml is not valid TOML",)), "predict", "--run", bench.run,
                "--metadata", "a.csv", "--images", "b", "--out", "c.csv")  # fmt: skip
