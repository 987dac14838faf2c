"""Compares LoRA files that our commands wrote, by what diffusers and peft compute with them.

    python reference/lora_check.py make DIR         LoRAs of peft for the bundled U-Net: DIR/plain (alpha != rank, patterns, linear
                                                    and convolution modules) and DIR/rslora, with their outputs beside them
    python reference/lora_check.py compare FIRST LORA …   the output of the bundled U-Net with each LoRA against that with FIRST

A LoRA is a peft folder (loaded by peft), a folder or file of diffusers or kohya (loaded by diffusers), or a diffusers folder
with merged weights (model_index.json). The difference is max |a - b| / max |a - base|: relative to what FIRST changes. Ends
with 1 when one is above --tolerance. Run from the repository root; it needs torch, diffusers and peft."""

import argparse
import logging
import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, PeftModel, get_peft_model

BASE = Path("assets/models/animals-32")
SEED = 20261126
warnings: list[str] = []


class Collect(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warnings.append(record.getMessage())


logging.getLogger("diffusers").addHandler(Collect(level=logging.WARNING))


def network(folder: Path = BASE) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=torch.float32).eval()


def output(net: torch.nn.Module) -> torch.Tensor:
    config = net.config
    rng = torch.Generator().manual_seed(SEED)
    x = torch.randn(2, config.in_channels, config.sample_size, config.sample_size, generator=rng)
    text = torch.randn(2, 5, config.cross_attention_dim, generator=rng)
    with torch.no_grad():
        return net(x, torch.tensor([10, 700]), text).sample


def with_lora(path: Path) -> torch.Tensor:
    if (path / "model_index.json").exists():
        return output(network(path))
    if (path / "adapter_config.json").exists():
        return output(PeftModel.from_pretrained(network(), path))
    file = path if path.is_file() else next(path.glob("*.safetensors"))
    net = network()
    state, alphas, metadata = StableDiffusionPipeline.lora_state_dict(
        str(file.parent), weight_name=file.name, unet_config=net.config, return_lora_metadata=True
    )
    warnings.clear()
    StableDiffusionPipeline.load_lora_into_unet(state, network_alphas=alphas, unet=net, metadata=metadata)
    assert not warnings, warnings
    return output(net)


def make(out: Path) -> None:
    torch.manual_seed(SEED)
    attention = ["to_q", "to_k", "to_v", "to_out.0"]
    configs = {
        "plain": LoraConfig(
            r=3,
            lora_alpha=5,
            target_modules=[*attention, "proj_in", "conv1", "ff.net.2"],
            rank_pattern={"attn2.to_k": 2},
            alpha_pattern={"to_v": 4},
        ),
        "rslora": LoraConfig(r=4, lora_alpha=3, use_rslora=True, target_modules=[*attention, "conv2"]),
    }
    for name, config in configs.items():
        net = get_peft_model(network(), config)
        for key, p in net.named_parameters():
            if "lora_" in key:
                torch.nn.init.normal_(p, std=0.1)
        net.save_pretrained(out / name)


def compare(first: Path, others: list[Path], tolerance: float) -> int:
    plain, reference = output(network()), with_lora(first)
    change = (reference - plain).abs().max()
    print(f"{first}: changes the output by {change:.4g}")
    worst = 0.0
    for path in others:
        difference = float((with_lora(path) - reference).abs().max() / change)
        worst = max(worst, difference)
        print(f"{path}: {difference:.2e}{'' if difference <= tolerance else '  DIFFERENT'}")
    return 0 if worst <= tolerance else 1


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(dest="command", required=True)
commands.add_parser("make").add_argument("out", type=Path)
comparing = commands.add_parser("compare")
comparing.add_argument("first", type=Path)
comparing.add_argument("loras", type=Path, nargs="+")
comparing.add_argument("--tolerance", type=float, default=1e-4)
arguments = parser.parse_args()
if arguments.command == "make":
    make(arguments.out)
else:
    sys.exit(compare(arguments.first, arguments.loras, arguments.tolerance))
