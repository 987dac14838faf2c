"""tests/golden/lora/flux: a LoRA of FLUX in kohya's names (fused q, k, v with shared A and block-diagonal B, alpha != rank), and
what diffusers' own converter makes of it. The converter leaves alpha of the final layer out, so that alpha = rank there.

Run from the repository root: python reference/lora_flux_golden.py"""

from pathlib import Path

import diffusers
import torch
from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux_lora_to_diffusers
from safetensors.torch import save_file

OUT = Path("tests/golden/lora/flux")
SEED = 20261126
WIDTH = 6
# name: (rank, alpha, rows of B, columns of A)
MODULES = {
    "double_blocks_0_img_attn_qkv": (2, 3, 3 * WIDTH, WIDTH),
    "double_blocks_0_img_attn_proj": (2, 1, WIDTH, WIDTH),
    "double_blocks_0_img_mlp_0": (1, 4, 4 * WIDTH, WIDTH),
    "double_blocks_0_img_mlp_2": (2, 4, WIDTH, 4 * WIDTH),
    "double_blocks_0_img_mod_lin": (2, 4, 6 * WIDTH, WIDTH),
    "double_blocks_18_txt_attn_qkv": (6, 4, 3 * WIDTH, WIDTH),
    "double_blocks_18_txt_attn_proj": (2, 4, WIDTH, WIDTH),
    "double_blocks_18_txt_mlp_0": (2, 4, 4 * WIDTH, WIDTH),
    "double_blocks_18_txt_mlp_2": (2, 4, WIDTH, 4 * WIDTH),
    "double_blocks_18_txt_mod_lin": (2, 4, 6 * WIDTH, WIDTH),
    "single_blocks_37_linear1": (1, 2, 7 * 3072, 2),
    "single_blocks_37_linear2": (2, 4, WIDTH, 5 * WIDTH),
    "single_blocks_37_modulation_lin": (2, 4, 3 * WIDTH, WIDTH),
    "img_in": (2, 1, WIDTH, 4),
    "txt_in": (2, 1, WIDTH, 4),
    "time_in_in_layer": (2, 1, WIDTH, 4),
    "time_in_out_layer": (2, 1, WIDTH, WIDTH),
    "vector_in_in_layer": (2, 1, WIDTH, 4),
    "vector_in_out_layer": (2, 1, WIDTH, WIDTH),
    "guidance_in_in_layer": (2, 1, WIDTH, 4),
    "guidance_in_out_layer": (2, 1, WIDTH, WIDTH),
    "final_layer_linear": (2, 2, 4, WIDTH),
    "final_layer_adaLN_modulation_1": (2, 2, 2 * WIDTH, WIDTH),
}


def main() -> None:
    torch.manual_seed(SEED)
    OUT.mkdir(parents=True, exist_ok=True)
    kohya: dict[str, torch.Tensor] = {}
    for name, (rank, alpha, rows, columns) in MODULES.items():
        kohya[f"lora_unet_{name}.lora_down.weight"] = torch.randn(rank, columns)
        kohya[f"lora_unet_{name}.lora_up.weight"] = torch.randn(rows, rank)
        kohya[f"lora_unet_{name}.alpha"] = torch.tensor(float(alpha))
    up = kohya["lora_unet_double_blocks_18_txt_attn_qkv.lora_up.weight"]
    for part in range(3):  # block-diagonal
        kept = up[part * WIDTH : (part + 1) * WIDTH, 2 * part : 2 * part + 2].clone()
        up[part * WIDTH : (part + 1) * WIDTH] = 0
        up[part * WIDTH : (part + 1) * WIDTH, 2 * part : 2 * part + 2] = kept
    metadata = {"script": "reference/lora_flux_golden.py", "diffusers": diffusers.__version__, "torch": torch.__version__, "seed": str(SEED)}
    save_file({k: v.contiguous() for k, v in kohya.items()}, OUT / "kohya.safetensors", metadata)
    converted = _convert_kohya_flux_lora_to_diffusers(dict(kohya))
    named = {k if k.startswith("transformer.") else f"transformer.{k}": v.clone().contiguous() for k, v in converted.items()}
    save_file(named, OUT / "diffusers.safetensors", metadata)


main()
