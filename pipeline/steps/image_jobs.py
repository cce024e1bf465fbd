"""Stage one as jobs: a fold model's training and its test predictions, named so that any process can do them."""

from typing import TYPE_CHECKING

from pipeline.execute.files import data_inputs, pack_inputs, run_name, weight_inputs
from pipeline.execute.job import Job
from pipeline.steps.fold_models import FoldModel, test_lesions, training_lesions
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from image_models.lesions import Lesions


def training_job(model: FoldModel, position: str) -> Job:
    """The training of a fold model, and what it says of the lesions left out."""
    space, folder = model.space, run_name(model.folder, model.space)
    threads = image_model_threads(space)
    return Job(
        work="fold model",
        arguments=(f"{position} {model.title}", threads, model.model.name, *model.left_out),
        title=model.title,
        cpus=threads,
        gpus=image_model_gpus(space),
        # Its own folder too: training goes on from a state saved there.
        inputs=(*data_inputs(space), *pack_inputs(space, "train_pack"), *weight_inputs(space, model.model), folder),
        outputs=(folder,),
    )


def train_fold_model(space: Workspace, label: str, threads: int, model: str, *left_out: int) -> None:
    """Do a training job."""
    use_threads(threads // space.sharers)
    fold_model(space, model, left_out).train(shared_training_lesions(space), label)


def test_job(model: FoldModel) -> Job:
    """The prediction of the test lesions by a fold model."""
    space = model.space
    threads = image_model_threads(space)
    return Job(
        work="test predictions",
        arguments=(threads, model.model.name, *model.left_out),
        title=f"{model.title}, test lesions",
        cpus=threads,
        gpus=image_model_gpus(space),
        inputs=(*data_inputs(space), *pack_inputs(space, "test_pack"), run_name(model.folder, space)),
        outputs=(run_name(model.test_step.folder, space),),
    )


def predict_test_lesions(space: Workspace, threads: int, model: str, *left_out: int) -> None:
    """Do a job of test predictions."""
    use_threads(threads // space.sharers)
    fold_model(space, model, left_out).predict_test(shared_test_lesions(space))


def fold_model(space: Workspace, model: str, left_out: tuple[int, ...]) -> FoldModel:
    """A fold model by its name."""
    return FoldModel(space, next(m for m in space.recipe.image_models if m.name == model), left_out)


def shared_training_lesions(space: Workspace) -> "Lesions":
    """The training lesions, put together once for all models of this process."""
    return space.shared.get("training lesions", "", lambda: training_lesions(space))


def shared_test_lesions(space: Workspace) -> "Lesions":
    """The test lesions, put together once for all models of this process."""
    return space.shared.get("test lesions", "", lambda: test_lesions(space))


def use_threads(threads: int) -> None:
    """Let PyTorch run with the threads of the job: with another number its sums round otherwise."""
    import torch

    torch.set_num_threads(max(1, threads))


def image_model_threads(space: Workspace) -> int:
    """Threads of one image model."""
    import torch

    return space.recipe.resources.image_model_cpus or torch.get_num_threads()


def image_model_gpus(space: Workspace) -> float:
    """GPUs kept for one image model."""
    wanted = space.recipe.resources.image_model_gpus
    return min(1.0, space.executor.gpus(space)) if wanted is None else wanted
