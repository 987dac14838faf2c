"""LoRA files of the real tools, and our files in the real tools. On the tiny network tests/golden/unet/mixed:

- tests/golden/lora/theirs: LoRAs made by peft (alpha != rank, rsLoRA, patterns, convolutions) and saved by peft and diffusers in
  every dialect we read, in float32, float16 and bfloat16;
- tests/golden/lora/ours is written by us (UPDATE_GOLDEN=1 npx vitest run tests/lora-golden.test.ts) and loaded here;
- tests/golden/lora/values.safetensors: the output of the network with each of them, by diffusers and peft.

Run from the repository root: python reference/lora_golden.py"""

import json
import logging
import platform
from pathlib import Path

import diffusers
import peft
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

BASE = Path("tests/golden/unet")
OUT = Path("tests/golden/lora")
SEED = 20261124
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]

config = json.loads((BASE / "mixed.config.json").read_text())
inputs = load_file(BASE / "mixed.values.safetensors")
warnings: list[str] = []


class Collect(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warnings.append(record.getMessage())


logging.getLogger("diffusers").addHandler(Collect(level=logging.WARNING))


def network() -> UNet2DConditionModel:
    net = UNet2DConditionModel(**{k: v for k, v in config.items() if not k.startswith("_")})
    net.load_state_dict(load_file(BASE / "mixed.weights.safetensors"))
    return net.eval()


def output(net: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return net(inputs["x"], inputs["t"], inputs["text"]).sample.contiguous()


def randomize(net: torch.nn.Module) -> None:
    for name, p in net.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(p, std=0.3)


def loaded_by_diffusers(file: Path) -> torch.Tensor:
    """What StableDiffusionPipeline.load_lora_weights does, without the parts of a pipeline that do not matter here."""
    net = network()
    state, alphas, metadata = StableDiffusionPipeline.lora_state_dict(
        str(file.parent), weight_name=file.name, unet_config=net.config, return_lora_metadata=True
    )
    warnings.clear()
    StableDiffusionPipeline.load_lora_into_unet(state, network_alphas=alphas, unet=net, metadata=metadata)
    assert not warnings, warnings
    return output(net)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert torch.allclose(a, b, rtol=tolerance, atol=tolerance), (a - b).abs().max()


def main() -> None:
    torch.manual_seed(SEED)
    theirs = OUT / "theirs"
    theirs.mkdir(parents=True, exist_ok=True)
    plain = output(network())
    values: dict[str, torch.Tensor] = {}

    # diffusers with metadata: alpha != rank, per-module rank and alpha
    net = network()
    net.add_adapter(
        LoraConfig(r=3, lora_alpha=5, target_modules=ATTENTION, rank_pattern={"attn2.to_k": 2}, alpha_pattern={"to_v": 4})
    )
    randomize(net)
    metadata = net.peft_config["default"].to_dict()
    StableDiffusionPipeline.save_lora_weights(
        theirs,
        unet_lora_layers=get_peft_model_state_dict(net),
        unet_lora_adapter_metadata=metadata,
        weight_name="diffusers.safetensors",
    )
    values["diffusers"] = output(net)
    close(loaded_by_diffusers(theirs / "diffusers.safetensors"), values["diffusers"])

    # a peft folder: rsLoRA on linear and convolution modules
    wrapped = get_peft_model(
        network(),
        LoraConfig(
            r=4,
            lora_alpha=3,
            use_rslora=True,
            target_modules=["to_k", "proj_in", "conv1"],
            rank_pattern={"proj_in": 2},
            alpha_pattern={"conv1": 1},
        ),
    )
    randomize(wrapped)
    wrapped.save_pretrained(theirs / "peft")
    (theirs / "peft" / "README.md").unlink(missing_ok=True)
    values["peft"] = output(wrapped)

    # names of diffusers before peft, and of attention processors: alpha = rank
    net = network()
    net.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=ATTENTION))
    randomize(net)
    state = get_peft_model_state_dict(net)
    half = {k: v.to(torch.bfloat16) for k, v in convert_state_dict_to_diffusers(state).items()}
    StableDiffusionPipeline.save_lora_weights(theirs, unet_lora_layers=half, weight_name="old-diffusers.safetensors")
    values["old-diffusers"] = loaded_by_diffusers(theirs / "old-diffusers.safetensors")
    close(values["old-diffusers"], output(net), 0.1)
    processors = {}
    for key, value in state.items():
        module, part = key.replace(".weight", "").rsplit(".", 1)
        attention, projection = module.replace("to_out.0", "to_out").rsplit(".", 1)
        part = {"lora_A": "down", "lora_B": "up"}[part]
        processors[f"unet.{attention}.processor.{projection}_lora.{part}.weight"] = value.contiguous()
    save_file(processors, theirs / "attention-processors.safetensors")
    values["attention-processors"] = loaded_by_diffusers(theirs / "attention-processors.safetensors")
    close(values["attention-processors"], output(net))

    # kohya: diffusers' names with the alpha that diffusers does not write, in float16
    net = network()
    net.add_adapter(LoraConfig(r=4, lora_alpha=2, target_modules=[*ATTENTION, "proj_in", "conv1"]))
    randomize(net)
    kohya = convert_state_dict_to_kohya({f"unet.{k}": v for k, v in get_peft_model_state_dict(net).items()})
    kohya = {k: torch.tensor(2.0) if k.endswith(".alpha") else v for k, v in kohya.items()}
    save_file({k: v.half().contiguous() for k, v in kohya.items()}, theirs / "kohya.safetensors")
    values["kohya"] = loaded_by_diffusers(theirs / "kohya.safetensors")
    close(values["kohya"], output(net), 0.1)

    # ours
    ours = OUT / "ours"
    values["ours-diffusers"] = loaded_by_diffusers(ours / "diffusers" / "pytorch_lora_weights.safetensors")
    values["ours-kohya"] = loaded_by_diffusers(ours / "kohya" / "lora.safetensors")
    from_folder = PeftModel.from_pretrained(network(), ours / "peft")
    expected = set(load_file(ours / "peft" / "adapter_model.safetensors"))
    assert set(get_peft_model_state_dict(from_folder)) == expected, "peft loads other modules than the folder has"
    values["ours-peft"] = output(from_folder)
    close(values["ours-peft"], values["ours-diffusers"])
    close(values["ours-peft"], values["ours-kohya"])

    for name, value in values.items():
        assert (value - plain).abs().max() > 0.05, f"{name} changes nothing"
    save_file(values, OUT / "values.safetensors")
    provenance = {
        "script": "reference/lora_golden.py",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "peft": peft.__version__,
        "seed": SEED,
        "why trusted": "diffusers and peft are what our files are for; each output was computed by the library that loaded the file",
    }
    (OUT / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


main()
