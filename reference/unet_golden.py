"""Makes tests/golden/unet/: tiny random UNet2DConditionModel networks of diffusers with an input, the output and the
gradient of sum(output * cotangent) with respect to x. Run from the repository root: python reference/unet_golden.py"""

import json
import platform
from pathlib import Path

import diffusers
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

OUT = Path("tests/golden/unet")
SEED = 20240817
BATCH, TOKENS = 2, 5

SHARED = dict(
    sample_size=8,
    in_channels=3,
    out_channels=3,
    block_out_channels=[8, 16, 16],
    cross_attention_dim=6,
    norm_num_groups=4,
)
CASES = {
    "mixed": dict(
        layers_per_block=1,
        attention_head_dim=2,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    ),
    "linear-projection": dict(
        layers_per_block=2,
        attention_head_dim=[2, 4, 8],
        use_linear_projection=True,
        transformer_layers_per_block=2,
        down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    ),
}


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for index, (name, case) in enumerate(CASES.items()):
        torch.manual_seed(SEED + index)
        net = UNet2DConditionModel(**SHARED, **case)
        with torch.no_grad():  # normalisations start as the identity: make a swapped gain or bias visible
            for p in net.parameters():
                p.add_(0.1 * torch.randn_like(p))
        x = torch.randn(BATCH, 3, 8, 8, requires_grad=True)
        t = torch.tensor([3.0, 871.0])
        text = torch.randn(BATCH, TOKENS, 6)
        cotangent = torch.randn(BATCH, 3, 8, 8)
        output = net(x, t, text).sample
        (gradient,) = torch.autograd.grad((output * cotangent).sum(), x)
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, OUT / f"{name}.weights.safetensors")
        values = dict(x=x.detach(), t=t, text=text, cotangent=cotangent, output=output.detach(), gradient=gradient)
        save_file({k: v.contiguous() for k, v in values.items()}, OUT / f"{name}.values.safetensors")
        (OUT / f"{name}.config.json").write_text(json.dumps(dict(net.config), indent=1) + "\n")
    provenance = {
        "script": "reference/unet_golden.py",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "seed": SEED,
        "why trusted": "diffusers is the library whose weights and names we read; float32 on CPU",
    }
    (OUT / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


main()
