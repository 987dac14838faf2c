"""Writes tests/golden/torch-zip/: files made by torch.save, what they hold, and files that must be refused.

Run: python reference/torch_zip_golden.py (made with torch 2.15.0, Python 3.11). The script executes nothing of what it
writes: `hostile.pt` would run a shell command if it were unpickled.
"""

import json
import os
import pathlib
import zipfile
from collections import OrderedDict

import torch

out = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "torch-zip"
out.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
expected = {}


def save(name, value, tensors, **options):
    torch.save(value, out / name, **options)
    expected[name] = {
        key: {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "values": [str(v) for v in tensor.detach().to(torch.float64).flatten().tolist()],
        }
        for key, tensor in tensors.items()
    }


# A state dict as modules give it: an OrderedDict with an attribute `_metadata`.
network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(6, 2))
state = network.state_dict()
save("state-dict.pt", state, state)
save("protocol-4.pt", dict(state), state, pickle_protocol=4)

floats = [0.0, -0.0, 1.0, -2.5, 0.1, 6.1e-5, 3.0e-8, 448.0, 1e-3]
formats = {
    "double": torch.tensor(floats, dtype=torch.float64),
    "float": torch.tensor(floats, dtype=torch.float32),
    "half": torch.tensor(floats, dtype=torch.float16),
    "bfloat16": torch.tensor(floats, dtype=torch.bfloat16),
    "long": torch.tensor([0, 1, -1, 2**40], dtype=torch.int64),
    "int": torch.tensor([0, 1, -1, -(2**31)], dtype=torch.int32),
    "short": torch.tensor([0, 1, -1, 32767, -32768], dtype=torch.int16),
    "char": torch.tensor([0, 1, -1, 127, -128], dtype=torch.int8),
    "byte": torch.tensor([0, 1, 255], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    # These have no storage class of their own; torch rebuilds them another way.
    "float8_e4m3fn": torch.tensor(floats, dtype=torch.float64).to(torch.float8_e4m3fn),
    "float8_e5m2": torch.tensor(floats, dtype=torch.float64).to(torch.float8_e5m2),
    "uint16": torch.tensor([0, 1, 65535], dtype=torch.uint16),
}
save("formats.pt", formats, formats)

# Views: strides that are not those of a whole tensor, storages that tensors share, parameters, no axis, no values.
base = torch.randn(6, 5)
views = {
    "base": base,
    "again": base,
    "transposed": base.t(),
    "rows": base[2:4],
    "every-second-column": base[:, 1::2],
    "repeated": torch.arange(6, dtype=torch.int64)[2:5].expand(1, -1),
    "permuted": torch.randn(2, 3, 4).to(torch.float16).permute(2, 0, 1),
    "channels-last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "parameter": torch.nn.Parameter(torch.randn(3)),
    "scalar": torch.tensor(0.18215),
    "empty": torch.zeros(0, 7),
}
save("views.pt", views, views)

# What training scripts write around a state dict.
save("wrapped.pt", {"epoch": 3, "state_dict": OrderedDict(state), "optimizer": {"lr": 0.1}}, state)
nested = {
    "model": {"a.weight": torch.ones(2), "b": {"bias": torch.zeros(1)}},
    "optimizer": {"state": {0: {"step": torch.tensor(7.0), "exp_avg": torch.ones(2)}}, "groups": [{"lr": 1e-3}]},
    "step": 12,
    "name": "small",
    "large": 2**70,
    "nothing": None,
}
flat = {
    "model.a.weight": torch.ones(2),
    "model.b.bias": torch.zeros(1),
    "optimizer.state.0.step": torch.tensor(7.0),
    "optimizer.state.0.exp_avg": torch.ones(2),
}
save("nested.pt", nested, flat)
(out / "values.json").write_text(json.dumps(expected, indent=1) + "\n")


class Hostile:
    def __reduce__(self):
        return os.system, ("echo executed > nablaflow-executed",)


torch.save({"weight": torch.ones(2), "x": Hostile()}, out / "hostile.pt")
torch.save(torch.nn.Linear(2, 1), out / "whole-module.pt")
torch.save({"weight": torch.ones(2)}, out / "legacy.pt", _use_new_zipfile_serialization=False)
torch.save({"weight": torch.zeros(1).expand(1000)}, out / "expanded.pt")
torch.save({"weight": torch.ones(2, dtype=torch.complex64)}, out / "complex.pt")
with (
    zipfile.ZipFile(out / "state-dict.pt") as stored,
    zipfile.ZipFile(out / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as deflated,
):
    for entry in stored.namelist():
        deflated.writestr(zipfile.ZipInfo(entry), stored.read(entry), zipfile.ZIP_DEFLATED)
