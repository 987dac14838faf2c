"""Resampled pictures and their derivatives according to PyTorch, for tests/resize.test.ts.

python reference/resize_golden.py > tests/golden/resize.json
"""

import json

import torch
import torch.nn.functional as F

SEED = 7
torch.manual_seed(SEED)


def numbers(tensor):
    return [round(value, 7) for value in tensor.flatten().tolist()]


def case(size_from, size_to, mode, antialias):
    x = torch.randn(1, 2, *size_from).double().round(decimals=4).requires_grad_()
    y = F.interpolate(x, size_to, mode=mode, antialias=antialias, **({} if mode == "nearest" else {"align_corners": False}))
    v = torch.randn(y.shape).double().round(decimals=4)
    (dx,) = torch.autograd.grad(y, x, v)
    return {
        "from": list(size_from),
        "to": list(size_to),
        "mode": mode,
        "antialias": antialias,
        "x": numbers(x),
        "y": numbers(y),
        "v": numbers(v),
        "dx": numbers(dx),
    }


sizes = [
    ((6, 5), (12, 10)),
    ((5, 7), (13, 4)),
    ((12, 9), (4, 3)),
    ((17, 16), (5, 7)),
    ((3, 2), (1, 7)),
    ((1, 4), (3, 4)),
]
modes = [("nearest", False), ("bilinear", False), ("bicubic", False), ("bilinear", True), ("bicubic", True)]
cases = [case(*size, *mode) for size in sizes for mode in modes]
provenance = {
    "made_by": "reference/resize_golden.py",
    "tools": f"torch {torch.__version__}, float64, seed {SEED}",
    "why_trusted": "F.interpolate(align_corners=False) is what the text-to-image pipelines and reward models resize with.",
}
lines = ",\n".join(json.dumps(c) for c in cases)
print(f'{{\n"provenance": {json.dumps(provenance, indent=1)},\n"cases": [\n{lines}\n]\n}}')
