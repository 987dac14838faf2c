"""Golden file for the bundled model: real diffusers and transformers read our folder and compute one guided-free output.

    python reference/animals_golden.py

Writes tests/golden/animals-32.safetensors (+ .json with provenance). Made with diffusers 0.42.1, transformers 5.24.0,
torch 2.15.0 on CPU, float32, seed 0.
"""

import json
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

root = Path(__file__).resolve().parent.parent
folder = root / "assets" / "models" / "animals-32"
prompts = ["a cat", "a glossy lion on blue", ""]

torch.manual_seed(0)
unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=torch.float32).eval()
encoder = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", torch_dtype=torch.float32).eval()
tokenizer = CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer")
scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")

ids = tokenizer(prompts, padding="max_length", max_length=16, truncation=True, return_tensors="pt").input_ids
x = torch.randn(len(prompts), 12, 16, 16)
t = torch.tensor([951, 401, 1])
with torch.no_grad():
    text = encoder(ids)[0]
    out = unet(x, t, text).sample

target = root / "tests" / "golden" / "animals-32"
save_file(
    {"x": x, "t": t.float(), "text": text, "out": out, "alphas_cumprod": scheduler.alphas_cumprod.float()},
    str(target.with_suffix(".safetensors")),
)
target.with_suffix(".json").write_text(
    json.dumps(
        {
            "script": "reference/animals_golden.py",
            "seed": 0,
            "prompts": prompts,
            "tokens": ids.tolist(),
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        },
        indent=1,
    )
    + "\n"
)
print("wrote", target.with_suffix(".safetensors").relative_to(root))
