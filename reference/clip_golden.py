"""Makes tests/golden/clip-text/: tiny random CLIPTextModel networks of transformers, token ids and the output.
Run from the repository root: python reference/clip_golden.py"""

import json
import platform
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

OUT = Path("tests/golden/clip-text")
SEED = 20240818
IDS = [[61, 5, 17, 33, 62, 62, 62], [61, 40, 62, 62, 62, 62, 62]]


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for index, act in enumerate(["quick_gelu", "gelu"]):
        torch.manual_seed(SEED + index)
        config = CLIPTextConfig(
            vocab_size=64,
            hidden_size=16,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=9,
            hidden_act=act,
            bos_token_id=61,
            eos_token_id=62,
            pad_token_id=62,
        )
        net = CLIPTextModel(config).eval()
        with torch.no_grad():  # biases start at zero and gains at one: make a swapped one visible
            for p in net.parameters():
                p.add_(0.3 * torch.randn_like(p))
        output = net(torch.tensor(IDS)).last_hidden_state.detach()
        name = act.replace("_", "-")
        net.save_pretrained(OUT / name)  # names as on disk
        save_file({"output": output.contiguous()}, OUT / name / "values.safetensors")
    provenance = {
        "script": "reference/clip_golden.py",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "seed": SEED,
        "ids": IDS,
        "why trusted": "transformers is the library whose weights and names we read; float32 on CPU",
    }
    (OUT / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


main()
