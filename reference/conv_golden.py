"""Grouped, dilated and transposed convolutions, pooling, and their derivatives according to PyTorch, for tests/conv.test.ts.

python reference/conv_golden.py > tests/golden/conv.json
"""

import json

import torch
import torch.nn.functional as F

SEED = 11
torch.manual_seed(SEED)


def numbers(tensor):
    return [round(value, 7) for value in tensor.flatten().tolist()]


def random(shape):
    return torch.randn(shape).double().round(decimals=4)


def case(op, function, inputs, **options):
    """Value, and the products of cotangent v with the derivatives by each input."""
    for tensor in inputs:
        tensor.requires_grad_()
    y = function(*inputs)
    v = random(y.shape)
    grads = torch.autograd.grad(y, inputs, v)
    return {
        "op": op,
        "options": options,
        "inputs": [{"shape": list(t.shape), "data": numbers(t), "gradient": numbers(g)} for t, g in zip(inputs, grads)],
        "v": numbers(v),
        "shape": list(y.shape),
        "y": numbers(y),
    }


def conv(x, w, **options):
    inputs = [random(x), random(w), random(w[:1])]
    return case("conv2d", lambda a, b, c: F.conv2d(a, b, c, **options), inputs, **options)


def transposed(y, w, outputPadding=0, **options):
    inputs = [random(y), random(w), random([w[1] * options.get("groups", 1)])]
    call = lambda a, b, c: F.conv_transpose2d(a, b, c, output_padding=outputPadding, **options)
    return case("convTranspose2d", call, inputs, outputPadding=outputPadding, **options)


def pool(op, x, kernel, **options):
    function = {"avgPool2d": F.avg_pool2d, "maxPool2d": F.max_pool2d}[op]
    return case(op, lambda a: function(a, kernel, **options), [random(x)], kernel=kernel, **options)


cases = [
    conv([2, 4, 9, 10], [6, 2, 3, 3], padding=1, groups=2),
    conv([2, 4, 9, 8], [4, 1, 3, 3], stride=2, padding=1, groups=4),
    conv([1, 2, 6, 7], [4, 1, 5, 5], padding=2, groups=2),
    conv([1, 3, 11, 10], [2, 3, 3, 3], padding=2, dilation=2),
    conv([1, 4, 12, 11], [4, 2, 3, 2], stride=2, padding=3, dilation=3, groups=2),
    transposed([1, 3, 4, 5], [3, 2, 3, 3], stride=2, padding=1, outputPadding=1),
    transposed([2, 2, 3, 4], [2, 3, 2, 2], stride=2),
    transposed([1, 4, 4, 3], [4, 1, 4, 4], stride=2, padding=1, groups=2),
    transposed([1, 2, 5, 4], [2, 2, 3, 3], stride=3, padding=2, dilation=2, outputPadding=2),
    transposed([1, 2, 8, 7], [2, 2, 3, 3], padding=3),
    pool("avgPool2d", [1, 2, 7, 8], 2),
    pool("avgPool2d", [1, 2, 7, 8], 3, stride=2, padding=1),
    pool("avgPool2d", [1, 2, 7, 8], [2, 3], stride=[3, 1], padding=[0, 1]),
    pool("maxPool2d", [1, 2, 7, 8], 2),
    pool("maxPool2d", [1, 2, 7, 8], 3, stride=2, padding=1),
    pool("maxPool2d", [1, 2, 7, 8], [3, 2], stride=1, padding=[1, 0]),
]
provenance = {
    "made_by": "reference/conv_golden.py",
    "tools": f"torch {torch.__version__}, float64, seed {SEED}",
    "why_trusted": "PyTorch's functions define what the options of the networks we load mean.",
}
lines = ",\n".join(json.dumps(c) for c in cases)
print(f'{{\n"provenance": {json.dumps(provenance, indent=1)},\n"cases": [\n{lines}\n]\n}}')
