"""The Inception network of 2015 as the FID uses it, layer for layer as in TensorFlow.

It differs from the Inception v3 of torchvision: averages leave out the padding, the last block pools by the maximum,
and there are 1008 classes.

Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, CVPR 2016; the names of the tensors are those of the published file.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

Kernel = int | tuple[int, int]
# Output channels, kernel, and the stride if it is not 1; a list of kernels stands for layers side by side.
Layer = tuple[int, Kernel | list[Kernel]] | tuple[int, Kernel | list[Kernel], int]

CLASSES, D = 1008, 2048


class Convolution(nn.Module):
    """A convolution without bias, batch normalisation, ReLU; padded to keep the size by default."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, *, padded: bool = True) -> None:
        super().__init__()
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (high // 2, wide // 2) if padded and stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, (high, wide), stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """`(n, inputs, h, w)` to `(n, outputs, h', w')`."""
        return functional.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches side by side, joined along the channels; the last pools, and then convolves unless `pooled` is 0."""

    def __init__(self, inputs: int, branches: dict[str, list[Layer]], pool: nn.Module, pooled: int = 0) -> None:
        super().__init__()
        self.pool = pool
        self.pooled = pooled
        self.paths: list[list[list[str]]] = []
        for branch, layers in branches.items():
            path, width = [], inputs
            for number, (outputs, kernels, *stride) in enumerate(layers, 1):
                name = branch if len(layers) == 1 else f"{branch}_{number}"
                split = kernels if isinstance(kernels, list) else [kernels]
                names = [name + letter for letter in "ab"] if len(split) > 1 else [name]
                for one, kernel in zip(names, split, strict=True):
                    self.add_module(one, Convolution(width, outputs, kernel, *stride))
                path.append(names)
                width = outputs
            self.paths.append(path)
        if pooled:
            self.branch_pool = Convolution(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(n, inputs, h, w)` to `(n, the sum of the branches, h', w')`."""
        joined = []
        for path in self.paths:
            y = x
            for names in path:
                y = torch.cat([self.get_submodule(name)(y) for name in names], 1)
            joined.append(y)
        y = self.pool(x)
        joined.append(self.branch_pool(y) if self.pooled else y)
        return torch.cat(joined, 1)


def average() -> nn.Module:
    """Means over 3x3 that leave out the padding."""
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def halving() -> nn.Module:
    """Maxima over 3x3 with stride 2."""
    return nn.MaxPool2d(3, stride=2)


def block_a(inputs: int, pooled: int) -> Mixed:
    """A block at 35x35: kernels of 5x5, and twice 3x3."""
    double: list[Layer] = [(64, 1), (96, 3), (96, 3)]
    branches: dict[str, list[Layer]] = {"branch1x1": [(64, 1)], "branch5x5": [(48, 1), (64, 5)]}
    return Mixed(inputs, branches | {"branch3x3dbl": double}, average(), pooled)


def block_c(width: int) -> Mixed:
    """A block at 17x17: kernels of 7x7 as a row and a column."""
    row, column = (1, 7), (7, 1)
    single: list[Layer] = [(width, 1), (width, row), (192, column)]
    double: list[Layer] = [(width, 1), (width, column), (width, row), (width, column), (192, row)]
    return Mixed(768, {"branch1x1": [(192, 1)], "branch7x7": single, "branch7x7dbl": double}, average(), 192)


def block_e(inputs: int, pool: nn.Module) -> Mixed:
    """A block at 8x8: branches that end in a row and a column side by side."""
    both: list[Kernel] = [(1, 3), (3, 1)]
    double: list[Layer] = [(448, 1), (384, 3), (384, both)]
    return Mixed(
        inputs,
        {"branch1x1": [(320, 1)], "branch3x3": [(384, 1), (384, both)], "branch3x3dbl": double},
        pool,
        192,
    )


class Inception2015(nn.Module):
    """Images `(n, 3, 299, 299)` in [-1, 1) to features `(n, 2048)`; `fc` holds the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3)
        self.pool_1 = halving()
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, padded=False)
        self.pool_2 = halving()
        self.Mixed_5b = block_a(192, 32)
        self.Mixed_5c = block_a(256, 64)
        self.Mixed_5d = block_a(288, 64)
        self.Mixed_6a = Mixed(
            288, {"branch3x3": [(384, 3, 2)], "branch3x3dbl": [(64, 1), (96, 3), (96, 3, 2)]}, halving()
        )
        self.Mixed_6b = block_c(128)
        self.Mixed_6c = block_c(160)
        self.Mixed_6d = block_c(160)
        self.Mixed_6e = block_c(192)
        rows_and_columns: list[Layer] = [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)]
        self.Mixed_7a = Mixed(768, {"branch3x3": [(192, 1), (320, 3, 2)], "branch7x7x3": rows_and_columns}, halving())
        self.Mixed_7b = block_e(1280, average())
        self.Mixed_7c = block_e(2048, nn.MaxPool2d(3, stride=1, padding=1))
        self.fc = nn.Linear(D, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(n, 2048)` of images `(n, 3, 299, 299)`: every layer except `fc`, in order."""
        for name, layer in self.named_children():
            if name != "fc":
                x = layer(x)
        return x.mean((2, 3))
