"""Writes tests/golden/sharded/: folders saved by diffusers in several files, plain and with a variant.

Run: python reference/sharded_golden.py (made with diffusers 0.42.1, torch 2.15.0, Python 3.11).
"""

import json
import pathlib

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

out = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "sharded"
torch.manual_seed(0)


class Small(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self, width: int = 4):
        super().__init__()
        self.first = torch.nn.Linear(width, width)
        self.second = torch.nn.Linear(width, 2)


model = Small()
model.save_pretrained(out, max_shard_size=70)
values = {name: tensor.flatten().tolist() for name, tensor in model.state_dict().items()}
model.half().save_pretrained(out, max_shard_size=40, variant="fp16")
(out / "values.json").write_text(json.dumps(values, indent=1) + "\n")
