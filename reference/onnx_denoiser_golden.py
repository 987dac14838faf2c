"""Makes tests/golden/onnx-denoiser/: a tiny UNet2DConditionModel (text) and a tiny DiTTransformer2DModel (classes) of
diffusers, random, exported to ONNX by both exporters of torch, with what torch makes of them: output, output with a LoRA
of peft whose B is not zero, and the gradients of sum(output * cotangent) to x and to the LoRA's A and B.
Run from the repository root: python reference/onnx_denoiser_golden.py"""

import json
import logging
import platform
import warnings
from pathlib import Path

import diffusers
import onnx
import onnxscript
import peft
import torch
from diffusers import DiTTransformer2DModel, UNet2DConditionModel
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

OUT = Path("tests/golden/onnx-denoiser")
SEED = 20261126
BATCH, SIDE, TOKENS, CLASSES = 2, 8, 5, 4
RANK, ALPHA = 2, 3  # a scale that is not 1
TARGETS = {
    "unet": ["to_q", "to_k", "to_v", "to_out.0", "conv1", "proj_in", "time_emb_proj"],
    "dit": ["to_q", "to_k", "to_v", "to_out.0", "net.0.proj", "proj"],
}


class Unet(torch.nn.Module):
    """The bare tensor instead of diffusers' output object; the network's names stay what they are."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.__dict__["net"] = net  # not a submodule: no prefix
        for name, child in net.named_children():
            self.add_module(name, child)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.net(*inputs, return_dict=False)[0]


def unet() -> tuple[torch.nn.Module, int, dict[str, torch.Tensor]]:
    net = UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=12,
        out_channels=12,
        block_out_channels=[4, 8],
        layers_per_block=1,
        cross_attention_dim=6,
        norm_num_groups=2,
        attention_head_dim=2,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
    )
    text = torch.randn(BATCH, TOKENS, 6)
    return net, net.config.in_channels, dict(timestep=torch.tensor([3, 871]), encoder_hidden_states=text)


def dit() -> tuple[torch.nn.Module, int, dict[str, torch.Tensor]]:
    net = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=3,
        out_channels=6,  # the second half is a learned variance, as in the published networks
        num_layers=2,
        sample_size=SIDE,
        patch_size=2,
        num_embeds_ada_norm=CLASSES,
    )
    return net, net.config.in_channels, dict(timestep=torch.tensor([3, 871]), class_labels=torch.tensor([1, CLASSES]))  # CLASSES: no class


def export(net: torch.nn.Module, name: str, x: torch.Tensor, given: dict[str, torch.Tensor]) -> None:
    names = ["sample", *given]
    args = (x, *given.values())
    dynamic = {key: {0: "batch"} for key in [*names, "out_sample"]}
    classic = OUT / f"{name}.classic.onnx"
    torch.onnx.export(
        net, args, classic, dynamo=False, opset_version=17, input_names=names, output_names=["out_sample"],
        dynamic_axes=dynamic,
    )
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.onnx.export(
        net, args, OUT / f"{name}.dynamo.onnx", dynamo=True, opset_version=18, input_names=names,
        output_names=["out_sample"], dynamic_shapes=(tuple({0: batch} for _ in names),), external_data=False, verbose=False,
    )
    shortened(OUT / f"{name}.dynamo.onnx")


def shortened(path: Path) -> None:
    """Three quarters of such a file are stack traces of this script, and shapes that a reader can work out."""
    model = onnx.load(path)
    for node in model.graph.node:
        kept = [entry for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
    del model.graph.value_info[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    onnx.save(model, path)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for index, (name, make) in enumerate(dict(unet=unet, dit=dit).items()):
        torch.manual_seed(SEED + index)
        net, channels, given = make()
        net.eval()
        with torch.no_grad():  # some layers start at zero, normalisations as the identity: make every one visible
            for p in net.parameters():
                p.add_(0.1 * torch.randn_like(p))
        x = torch.randn(BATCH, channels, SIDE, SIDE)
        export(Unet(net).eval(), name, x, given)
        if name == "unet":
            save_file({k: v.contiguous() for k, v in net.state_dict().items()}, OUT / "unet.weights.safetensors")
            (OUT / "unet.config.json").write_text(json.dumps(dict(net.config), indent=1) + "\n")

        x.requires_grad_(True)
        output = net(x, *given.values(), return_dict=False)[0][:, :channels]
        cotangent = torch.randn_like(output)
        (gradient,) = torch.autograd.grad((output * cotangent).sum(), x)

        config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS[name], init_lora_weights="gaussian")
        inject_adapter_in_model(config, net)
        lora = {k.replace(".default", ""): p for k, p in net.named_parameters() if ".lora_" in k}
        with torch.no_grad():
            for p in lora.values():
                p.copy_(0.3 * torch.randn_like(p))
        adapted = net(x, *given.values(), return_dict=False)[0][:, :channels]
        gx, *gs = torch.autograd.grad((adapted * cotangent).sum(), [x, *lora.values()])
        values = dict(
            x=x, cotangent=cotangent, output=output, gradient=gradient, adapted=adapted, adapted_gradient=gx,
            **{k: v.float() for k, v in given.items()},
            **{f"lora.{k}": v for k, v in lora.items()},
            **{f"gradient.{k}": g for k, g in zip(lora, gs)},
        )
        save_file({k: v.detach().contiguous() for k, v in values.items()}, OUT / f"{name}.values.safetensors")
    provenance = {
        "script": "reference/onnx_denoiser_golden.py",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "peft": peft.__version__,
        "onnx": onnx.__version__,
        "onnxscript": onnxscript.__version__,
        "seed": SEED,
        "lora": {"rank": RANK, "alpha": ALPHA, "targets": TARGETS},
        "why trusted": "the exporters that users have, and the libraries whose names and numbers we claim; float32 on CPU",
    }
    (OUT / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


main()
