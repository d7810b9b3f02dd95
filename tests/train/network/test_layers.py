"""The layers that train faster on small maps give torch's own convolution and its gradients."""

import pytest
import torch
from torch.nn import functional

from ghostkit.train.network.layers import DepthwiseConv, PointwiseConv


@pytest.mark.parametrize(
    ("kernel", "stride", "side"), [(3, 1, 1), (3, 1, 2), (3, 2, 2), (5, 2, 2), (5, 2, 4), (5, 1, 3)]
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_depthwise_convolution_of_a_small_map(
    kernel: int, stride: int, side: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv(6, kernel, stride).double()
    features = torch.randn(4, 6, side, side, dtype=torch.float64).contiguous(memory_format=layout)
    features.requires_grad_()
    result = layer(features)
    expected = functional.conv2d(features, layer.weight, None, stride, kernel // 2, 1, 6)
    torch.testing.assert_close(result, expected)

    back = torch.randn_like(result)
    ours = torch.autograd.grad(result, (features, layer.weight), back)
    theirs = torch.autograd.grad(expected, (features, layer.weight), back)
    torch.testing.assert_close(ours, theirs)


def test_a_frozen_kernel_still_passes_the_gradient_on() -> None:
    layer = DepthwiseConv(3, 3)
    layer.weight.requires_grad_(False)
    features = torch.randn(2, 3, 2, 2, requires_grad=True)
    layer(features).sum().backward()
    assert features.grad is not None and layer.weight.grad is None


@pytest.mark.parametrize("side", [1, 2, 4, 5])
@pytest.mark.parametrize("bias", [False, True])
def test_a_pointwise_convolution(side: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer = PointwiseConv(5, 7, bias=bias).double()
    features = torch.randn(3, 5, side, side, dtype=torch.float64, requires_grad=True)
    result = layer(features)
    expected = functional.conv2d(features, layer.weight, layer.bias)
    torch.testing.assert_close(result, expected)

    wanted = (features, *layer.parameters())
    back = torch.randn_like(result)
    torch.testing.assert_close(
        torch.autograd.grad(result, wanted, back), torch.autograd.grad(expected, wanted, back)
    )


def test_under_bf16_the_small_map_is_left_to_torch() -> None:
    layer = DepthwiseConv(3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(torch.randn(2, 3, 2, 2))
    assert result.dtype == torch.bfloat16
