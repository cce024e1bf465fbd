"""Our own backbones, layer by layer."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from image_models.networks.own.custom_cnn import CustomCNN
from image_models.networks.own.dermi_resnet import DROPOUT, DermiResNet, ScaledSkip


def test_the_skip_is_scaled() -> None:
    torch.manual_seed(0)
    block = ScaledSkip(3).double().eval()
    with torch.no_grad():
        block.alpha.fill_(-0.7)
        for norm in (block.convolve[1], block.convolve[4]):
            for tensor in (norm.weight, norm.bias, norm.running_mean):
                tensor.normal_()
        maps = torch.randn(2, 3, 5, 5).double()
        found, wanted = block(maps), maps
        for convolution, norm in ((block.convolve[0], block.convolve[1]), (block.convolve[3], block.convolve[4])):
            padded = functional.pad(wanted, (1, 1, 1, 1))
            wanted = torch.zeros_like(maps)
            for row in range(5):
                for column in range(5):
                    window = padded[:, :, row : row + 3, column : column + 3]
                    wanted[:, :, row, column] = torch.einsum("nchw,ochw->no", window, convolution.weight)
            normed = (wanted - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
            wanted = normed * norm.weight[:, None, None] + norm.bias[:, None, None]
            wanted = torch.where(wanted > 0, wanted, 0.01 * wanted)
        torch.testing.assert_close(found, wanted - 0.7 * maps)


def test_alpha_is_learned() -> None:
    block = ScaledSkip(4)
    assert block.alpha.item() == 1
    block(torch.randn(2, 4, 6, 6)).square().sum().backward()
    assert block.alpha.grad is not None
    assert block.alpha.grad.abs() > 0


def test_dermi_resnet_is_as_published() -> None:
    network = DermiResNet().eval()
    maps, shapes = torch.randn(1, 3, 64, 64), []
    with torch.inference_mode():
        maps = network.stem(maps)
        assert maps.shape == (1, 64, 32, 32)
        for stage in network.stages:
            maps = stage(maps)
            shapes.append(tuple(maps.shape[1:]))
        assert shapes == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
        by_hand = functional.adaptive_avg_pool2d(maps, 1).flatten(1)
        for layer in network.head_layers:
            by_hand = layer(by_hand)
        torch.testing.assert_close(network.forward_head(maps), by_hand)
    blocks = [module for module in network.modules() if isinstance(module, ScaledSkip)]
    rates = [[m.p for m in block.modules() if isinstance(m, nn.Dropout)] for block in blocks]
    assert rates == [[0.0], [0.0], [DROPOUT], [DROPOUT]]
    assert [layer.out_features for layer in network.head_layers if isinstance(layer, nn.Linear)] == [512, 512]


@pytest.mark.parametrize("size", [32, 50])
def test_custom_cnn_halves_the_side_four_times(size: int) -> None:
    maps = CustomCNN()(torch.randn(2, 3, size, size))
    assert maps.shape == (2, CustomCNN.num_features, size // 16, size // 16)
