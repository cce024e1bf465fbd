import io
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from data.errors import RecipeError
from image_models.networks.memory import counted, working_bytes
from image_models.recipe import ImageModelRecipe
from pipeline.display import Display
from pipeline.execute import side_by_side
from pipeline.execute.local import LocalExecutor
from pipeline.execute.side_by_side import image_model_resources, image_models_at_once
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime

MODEL = ImageModelRecipe(name="net", backbone="lesion_net", pretrained="none", image_size=32)


@pytest.fixture
def page() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def runtime(tmp_path: Path, page: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    monkeypatch.setattr(Runtime, "threads", 8)
    memory = psutil.virtual_memory()._replace(available=64 * 2**30)
    monkeypatch.setattr(side_by_side.psutil, "virtual_memory", lambda: memory)
    return Runtime(Display(Console(file=page, width=200)), LocalExecutor(), tmp_path, tmp_path)


def with_gpus(runtime: Runtime, count: float) -> Runtime:
    class Gpus(LocalExecutor):
        def gpus(self, runtime: Runtime) -> float:
            return count

    return replace(runtime, executor=Gpus())


def granted(**resources: object) -> Recipe:
    base = Recipe()
    return base.model_copy(update={"resources": base.resources.model_copy(update=resources)})


def test_a_model_takes_one_thread_of_a_processor_whatever_runs_beside_it(runtime: Runtime):
    assert image_model_resources(Recipe(), runtime).cpus == 1
    assert image_models_at_once([MODEL], Recipe(), runtime, 2, training=True) == 8
    two_each = granted(image_model_cpus=2)
    assert image_model_resources(two_each, runtime).cpus == 2
    assert image_models_at_once([MODEL], two_each, runtime, 2, training=True) == 4
    assert image_models_at_once([MODEL], granted(image_models_at_once=3), runtime, 2, training=True) == 3


def test_more_threads_where_there_are_more_cores_than_models(
    runtime: Runtime, page: io.StringIO, monkeypatch: pytest.MonkeyPatch
):
    gains = {"net": 4, "small": 1}
    asked = []

    def worth(model: ImageModelRecipe, most: int, cache_dir: Path) -> int:
        asked.append((model.name, most, cache_dir))
        return min(most, gains[model.name])

    monkeypatch.setattr("image_models.threads.worthwhile_threads", worth)
    small = replace(MODEL, name="small")
    assert image_model_resources(Recipe(), runtime, MODEL, 2).cpus == 4
    assert image_model_resources(Recipe(), runtime, small, 2).cpus == 1
    assert "net: 4 threads each, because there are more cores than image models" in page.getvalue()
    assert image_models_at_once([small, MODEL], Recipe(), runtime, 2, training=True, in_all=2) == 2
    assert {(most, folder) for _, most, folder in asked} == {(4, runtime.cache_dir)}
    asked.clear()
    # A core for each model; a number that was asked for; a GPU; a cluster.
    assert image_model_resources(Recipe(), runtime, MODEL, 5).cpus == 1
    assert image_model_resources(granted(image_model_cpus=3), runtime, MODEL, 1).cpus == 3
    assert image_model_resources(Recipe(), with_gpus(runtime, 1.0), MODEL, 1).cpus == 3
    monkeypatch.setattr(LocalExecutor, "spreads", True)
    assert image_model_resources(Recipe(), runtime, MODEL, 1).cpus == 1
    assert asked == []


def test_several_models_share_a_gpu(runtime: Runtime, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(side_by_side, "free_gpu_bytes", lambda: 80 * 2**30)
    two = with_gpus(runtime, 2.0)
    took = image_model_resources(Recipe(), two)
    assert (took.cpus, took.gpus) == (3, 0.25)
    assert image_models_at_once([MODEL], Recipe(), two, 2, training=True) == 8
    half = granted(image_model_gpus=0.5)
    assert image_models_at_once([MODEL], half, two, 2, training=True) == 4


def test_every_model_on_a_gpu_has_a_core_that_launches_its_kernels(runtime: Runtime, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(side_by_side, "free_gpu_bytes", lambda: 80 * 2**30)
    monkeypatch.setattr(Runtime, "threads", 4)
    assert image_models_at_once([MODEL], Recipe(), with_gpus(runtime, 2.0), 2, training=True) == 4


def test_memory_bounds_how_many_and_says_so(runtime: Runtime, page: io.StringIO, monkeypatch: pytest.MonkeyPatch):
    memory = psutil.virtual_memory()
    monkeypatch.setattr(side_by_side.psutil, "virtual_memory", lambda: memory._replace(available=2 * 2**30))
    assert image_models_at_once([MODEL], Recipe(), runtime, 2, training=True) == 2
    assert "GiB are free, so 2 instead of 8 are done at once" in page.getvalue().replace("\n", " ")


@pytest.mark.parametrize("at_once", [0, 1])
def test_a_model_that_what_is_free_does_not_hold_is_named_with_the_remedy(
    runtime: Runtime, page: io.StringIO, monkeypatch: pytest.MonkeyPatch, at_once: int
):
    memory = psutil.virtual_memory()
    monkeypatch.setattr(side_by_side.psutil, "virtual_memory", lambda: memory._replace(available=2**30))
    large = replace(MODEL, backbone="tf_efficientnet_lite0", image_size=128, batch_size=64)
    assert image_models_at_once([large], granted(image_models_at_once=at_once), runtime, 2, training=True) == 1
    said = page.getvalue().replace("\n", " ")
    assert "image model net takes about 4.6 GiB of memory, and 1.0 GiB are free: lower batch_size (now 64" in said
    assert said.count("are free: lower") == 1


def test_the_estimate_is_near_what_was_measured():
    """EfficientNet-Lite0 at 128 px: whole processes held 1.17 GB in batches of 8, 4.69 GB of 64 (performance.md)."""
    lite = replace(MODEL, backbone="tf_efficientnet_lite0", image_size=128)
    for batch, measured in ((8, 1.17e9), (64, 4.69e9)):
        estimate = side_by_side.PROCESS_BYTES + working_bytes(replace(lite, batch_size=batch), 2, training=True)
        assert 0.75 * measured < estimate < 1.25 * measured


@pytest.mark.parametrize("at_once", [0, 1])
def test_a_model_that_no_memory_could_hold_is_refused_before_it_starts(runtime: Runtime, at_once: int):
    absurd = replace(MODEL, batch_size=4096, image_size=1024)
    with pytest.raises(RecipeError, match=r"image model net would take about [\d,]+ GiB of memory, and there are \d+"):
        image_models_at_once([MODEL, absurd], granted(image_models_at_once=at_once), runtime, 2, training=True)


def test_the_estimate_grows_with_batch_and_side_and_training():
    count = counted(MODEL)
    assert count.parameters > 0
    assert len(count.outputs) > 5
    base = working_bytes(MODEL, 2, training=True)
    assert working_bytes(replace(MODEL, batch_size=64), 2, training=True) > base
    assert working_bytes(replace(MODEL, image_size=64), 2, training=True) > base
    large = replace(MODEL, backbone="resnet18")
    assert working_bytes(large, 2, training=True) > 5 * 4 * 11_000_000
    assert working_bytes(large, 2, training=False) < working_bytes(replace(large, batch_size=256), 2, training=True)
