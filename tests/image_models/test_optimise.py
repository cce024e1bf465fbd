import copy

import pytest
import torch
from torch import nn

from image_models.networks.zoo import build
from image_models.training.optimise import AveragedModel, Optimiser

CPU = torch.device("cpu")


def gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize(("name", "rule"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_step_is_pytorchs_with_clipped_gradients(toy_recipe, name, rule):
    torch.manual_seed(0)  # any weights would do but those that decay and gradient cancel in to the last digit
    recipe = toy_recipe(clip_norm=0.5, weight_decay=0.1, optimiser=name)
    model = build(recipe, 2)
    reference = copy.deepcopy(model)
    ours = Optimiser(model, recipe, "fp32", CPU)
    decayed = [p for p in reference.parameters() if p.ndim > 1]
    rest = [p for p in reference.parameters() if p.ndim <= 1]
    theirs = rule([{"params": decayed}, {"params": rest, "weight_decay": 0.0}], weight_decay=0.1)
    for step, rate in enumerate((1e-2, 5e-3, 1e-3)):
        gradients(model, step)
        gradients(reference, step)
        norm = ours.step(rate)
        total = torch.sqrt(sum((p.grad**2).sum() for p in reference.parameters()))
        for parameter in reference.parameters():
            parameter.grad *= 0.5 / (total + 1e-6)
        for group in theirs.param_groups:
            group["lr"] = rate
        theirs.step()
        torch.testing.assert_close(norm, total)
    for one, other in zip(model.parameters(), reference.parameters(), strict=True):
        # Adam's decay is part of the gradient: where the two cancel, rounding is divided by next to nothing.
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6 if name == "adamw" else 1e-5)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_layer_decay_slows_the_first_layers(toy_recipe):
    recipe = toy_recipe(layer_decay=0.5, weight_decay=0.0)
    model = build(recipe, 2)
    before = copy.deepcopy(model.state_dict())
    optimiser = Optimiser(model, recipe, "fp32", CPU)
    gradients(model, 0)
    optimiser.step(1e-3)
    # Adam's first step moves every weight by the rate, whatever its gradient.
    moved = {name: (value - before[name]).abs().max().item() for name, value in model.named_parameters()}
    stem = min(value for name, value in moved.items() if "stem" in name)
    head = max(value for name, value in moved.items() if "classifier" in name)
    assert head == pytest.approx(1e-3, rel=1e-2)
    assert stem < 0.3 * head


@pytest.mark.parametrize("name", ["adamw", "adam"])
def test_state_taken_over_continues_to_the_bit(toy_recipe, name):
    recipe = toy_recipe(optimiser=name)
    model = build(recipe, 2).to(memory_format=torch.channels_last)
    first = Optimiser(model, recipe, "fp32", CPU)
    gradients(model, 0)
    first.step(1e-3)
    twin = build(recipe, 2).to(memory_format=torch.channels_last)
    twin.load_state_dict(model.state_dict())
    second = Optimiser(twin, recipe, "fp32", CPU)
    second.restore(
        {name: value.clone(memory_format=torch.contiguous_format) for name, value in first.tensors().items()}
    )
    for each, optimiser in ((model, first), (twin, second)):
        gradients(each, 1)
        optimiser.step(1e-3)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), twin.parameters(), strict=True))


def test_average_is_its_formula():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = AveragedModel(model, decay=0.5)
    expected = model[0].weight.detach().clone()
    generator = torch.Generator().manual_seed(0)
    for update in range(1, 30):
        with torch.no_grad():
            model[0].weight.normal_(generator=generator)
            model[1].running_mean.fill_(update)
        average.update()
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * model[0].weight.detach()
        torch.testing.assert_close(average.model[0].weight, expected)
        assert (average.model[1].running_mean == update).all()
    assert not average.model.training
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
