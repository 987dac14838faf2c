"""Writes tests/golden/safetensors/: files made by the safetensors package, and what it read from them.

Run: python reference/safetensors_golden.py (needs numpy, torch and safetensors; made with safetensors 0.8.0,
numpy 2.4.6, torch 2.15.0, Python 3.11).
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import save
from safetensors.torch import save as save_torch

out = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "safetensors"
out.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(0)

# Float32 only, with the metadata that we always write: our writer must give the same bytes.
weights = {
    "down_blocks.0.resnets.0.conv1.weight": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "down_blocks.0.resnets.0.conv1.bias": np.array([0.0, -0.0, 1e-45, -3.4028235e38], np.float32),
    "time_embedding.ünï": rng.standard_normal(5).astype(np.float32),
    "scale": np.array(0.18215, np.float32),
    "empty": np.zeros((0, 7), np.float32),
    "12": np.array([np.inf, -np.inf], np.float32),
}
(out / "float32.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))

# Every format that we read. Values are stated as float64 and must survive rounding to float32 where exact.
floats = [0.0, -0.0, 1.0, -2.5, 0.1, 6.1e-5, 3.0e-8, 448.0, 1e-3]
formats = {
    "F64": torch.tensor(floats, dtype=torch.float64),
    "F32": torch.tensor(floats, dtype=torch.float32),
    "F16": torch.tensor(floats, dtype=torch.float16),
    "BF16": torch.tensor(floats, dtype=torch.bfloat16),
    "F8_E4M3": torch.tensor(floats, dtype=torch.float64).to(torch.float8_e4m3fn),
    "F8_E5M2": torch.tensor(floats, dtype=torch.float64).to(torch.float8_e5m2),
    "I64": torch.tensor([0, 1, -1, 2**40, -(2**62)], dtype=torch.int64),
    "I32": torch.tensor([0, 1, -1, 2**20, -(2**31)], dtype=torch.int32),
    "I16": torch.tensor([0, 1, -1, 32767, -32768], dtype=torch.int16),
    "I8": torch.tensor([0, 1, -1, 127, -128], dtype=torch.int8),
    "U64": torch.tensor([0, 1, 2**60], dtype=torch.uint64),
    "U32": torch.tensor([0, 1, 2**32 - 256], dtype=torch.uint32),
    "U16": torch.tensor([0, 1, 65535], dtype=torch.uint16),
    "U8": torch.tensor([0, 1, 255], dtype=torch.uint8),
    "BOOL": torch.tensor([True, False, True]),
}
(out / "formats.safetensors").write_bytes(save_torch(formats, metadata={"made_by": "safetensors"}))

# All 65536 halves and their bfloat16 counterparts would be large; rounding is fixed by 512 numbers around its ties.
halves = np.arange(0, 0x7C00, 61, dtype=np.uint16).view(np.float16).astype(np.float64)
following = np.arange(1, 0x7C01, 61, dtype=np.uint16).view(np.float16).astype(np.float64)
following[~np.isfinite(following)] = 65504.0
ties = np.concatenate([(halves + following) / 2, halves * 0.75 + following * 0.25, halves * 0.25 + following * 0.75])
ties = torch.from_numpy(ties.astype(np.float32))
rounding = {
    "numbers": ties,
    "F16": ties.to(torch.float16),
    "BF16": ties.to(torch.bfloat16),
}
(out / "rounding.safetensors").write_bytes(save_torch(rounding))

values = {name: [str(v) for v in tensor.to(torch.float64).flatten().tolist()] for name, tensor in formats.items()}
values |= {f"weights/{name}": [str(v) for v in array.astype(np.float64).flatten()] for name, array in weights.items()}
(out / "values.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")

# All values of the one-byte floats, as torch reads them.
codes = torch.arange(256, dtype=torch.uint8)
byte_floats = {
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}
tables = {name: [str(v) for v in codes.view(dtype).to(torch.float32).tolist()] for name, dtype in byte_floats.items()}
(out / "byte-floats.json").write_text(json.dumps(tables) + "\n")
