"""Makes tests/golden/onnx-export/: small random networks of transformers, torchvision and diffusers, exported to ONNX by both
exporters of torch, with inputs, the output and torch's gradient of sum(output * cotangent) with respect to every float input.
Run from the repository root: python reference/onnx_export_golden.py [NAME ...]"""

import copy
import json
import platform
import sys
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable

import diffusers
import onnx
import onnxscript
import torch
import torchvision
import transformers
from safetensors.torch import save_file
from torch import nn
from torchvision.models import efficientnet, mobilenetv2, mobilenetv3, resnet, vision_transformer
from torchvision.ops.misc import Conv2dNormActivation

OUT = Path("tests/golden/onnx-export")
SEED = 20261126
EXPORTED_BATCH, BATCH = 2, 3  # the open batch axis is used: files are exported with one size and evaluated with another
SIDE = 32


class Output(nn.Module):
    """One tensor of what a network gives, called with its arguments by name."""

    def __init__(self, net: nn.Module, names: list[str], pick: Callable = lambda result: result, **fixed):
        super().__init__()
        self.net, self.names, self.pick, self.fixed = net, names, pick, fixed

    def forward(self, *inputs):
        return self.pick(self.net(**dict(zip(self.names, inputs)), **self.fixed))


def pictures(batch: int, side: int = SIDE) -> dict[str, torch.Tensor]:
    return {"pixels": torch.randn(batch, 3, side, side)}


TRANSFORMER = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)


def clip_vision(attention: str) -> nn.Module:
    config = transformers.CLIPVisionConfig(**TRANSFORMER, image_size=SIDE, patch_size=8, projection_dim=12)
    config._attn_implementation = attention
    net = transformers.CLIPVisionModelWithProjection(config)
    return Output(net, ["pixel_values"], lambda result: result.image_embeds)


class EmbeddedText(nn.Module):
    """CLIP text with a float input: something added to the token embeddings."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, ids, nudge):
        embedding = self.net.text_model.embeddings.token_embedding
        handle = embedding.register_forward_hook(lambda _module, _inputs, output: output + nudge)
        try:
            return self.net(input_ids=ids).text_embeds
        finally:
            handle.remove()


def clip_text(attention: str) -> nn.Module:
    config = transformers.CLIPTextConfig(
        **TRANSFORMER,
        vocab_size=64,
        max_position_embeddings=9,
        projection_dim=12,
        bos_token_id=61,
        eos_token_id=62,
        pad_token_id=62,
    )
    config._attn_implementation = attention
    return EmbeddedText(transformers.CLIPTextModelWithProjection(config))


def clip_text_inputs(batch: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(0, 60, (batch, 7))
    ids[:, 0] = 61
    for row in range(batch):
        ids[row, 3 + row :] = 62
    return {"ids": ids, "nudge": torch.randn(batch, 7, 16)}


def vit(attention: str) -> nn.Module:
    config = transformers.ViTConfig(**TRANSFORMER, image_size=SIDE, patch_size=8, num_labels=5)
    config._attn_implementation = attention
    return Output(transformers.ViTForImageClassification(config), ["pixel_values"], lambda result: result.logits)


def torchvision_vit(_: str) -> nn.Module:
    return vision_transformer.VisionTransformer(
        image_size=SIDE, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
    )


BERT = dict(vocab_size=48, max_position_embeddings=12, type_vocab_size=2)


def bert_config(attention: str):
    config = transformers.BertConfig(**TRANSFORMER, **BERT, num_labels=3)
    config._attn_implementation = attention
    return config


def bert_ids(attention: str) -> nn.Module:
    names = ["input_ids", "attention_mask", "token_type_ids"]
    return Output(transformers.BertForSequenceClassification(bert_config(attention)), names, lambda result: result.logits)


def bert_ids_inputs(batch: int) -> dict[str, torch.Tensor]:
    mask = torch.ones(batch, 6, dtype=torch.int64)
    mask[1, 4:] = 0
    kinds = torch.zeros(batch, 6, dtype=torch.int64)
    kinds[:, 3:] = 1
    return {"ids": torch.randint(0, 48, (batch, 6)), "mask": mask, "kinds": kinds}


def bert_embeddings(attention: str) -> nn.Module:
    net = transformers.BertModel(bert_config(attention))
    return Output(net, ["inputs_embeds", "attention_mask"], lambda result: result.last_hidden_state)


def bert_embeddings_inputs(batch: int) -> dict[str, torch.Tensor]:
    return {"embeddings": torch.randn(batch, 6, 16), "mask": bert_ids_inputs(batch)["mask"]}


class NarrowResNet(resnet.ResNet):
    """torchvision's resnet18 with 1/8 of the width; stages and forward are its own."""

    def __init__(self, widths=(8, 8, 12, 16)):
        nn.Module.__init__(self)
        self._norm_layer, self.dilation, self.groups, self.base_width = nn.BatchNorm2d, 1, 1, 64
        self.inplanes = widths[0]
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._make_layer(resnet.BasicBlock, widths[0], 2)
        self.layer2, self.layer3, self.layer4 = (
            self._make_layer(resnet.BasicBlock, width, 2, stride=2) for width in widths[1:]
        )
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(widths[3], 5)


def mobilenet_v2(_: str) -> nn.Module:
    setting = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2], [6, 48, 1, 1]]  # expansion, channels, blocks, stride
    return mobilenetv2.MobileNetV2(num_classes=4, width_mult=0.25, inverted_residual_setting=setting, round_nearest=4)


def mobilenet_v3(_: str) -> nn.Module:
    block = partial(mobilenetv3.InvertedResidualConfig, width_mult=1)
    setting = [
        block(16, 3, 16, 16, True, "RE", 2, 1),  # in, kernel, expanded, out, squeeze-excite, activation, stride, dilation
        block(16, 3, 32, 16, False, "RE", 2, 1),
        block(16, 5, 32, 16, True, "HS", 1, 1),
    ]
    return mobilenetv3.MobileNetV3(setting, last_channel=32, num_classes=5)


def efficient_net(_: str) -> nn.Module:
    setting = [
        efficientnet.FusedMBConvConfig(1, 3, 1, 8, 8, 1),  # expansion, kernel, stride, in, out, blocks
        efficientnet.MBConvConfig(2, 3, 2, 8, 12, 2),
        efficientnet.MBConvConfig(2, 5, 2, 12, 16, 1),
    ]
    return efficientnet.EfficientNet(setting, dropout=0.2, last_channel=40, num_classes=5)


def unet(_: str) -> nn.Module:
    net = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        block_out_channels=[4, 8],
        cross_attention_dim=6,
        norm_num_groups=2,
        layers_per_block=1,
        attention_head_dim=2,
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "UpBlock2D"],
    )
    return Output(net, ["sample", "timestep", "encoder_hidden_states"], lambda result: result[0], return_dict=False)


def unet_inputs(batch: int) -> dict[str, torch.Tensor]:
    t = torch.tensor([3, 871, 500])[:batch]
    return {"sample": torch.randn(batch, 3, 8, 8), "t": t, "text": torch.randn(batch, 5, 6)}


class SegmentationUNet(nn.Module):
    """The U-Net of segmentation: skips that are joined, one stage up by transposed convolution and one by interpolation."""

    def __init__(self):
        super().__init__()

        def block(ins, outs):
            last = Conv2dNormActivation(outs, outs, 3, activation_layer=nn.LeakyReLU)
            return nn.Sequential(Conv2dNormActivation(ins, outs, 3), last)

        self.first, self.second, self.third = block(3, 6), block(6, 8), block(8, 12)
        self.up = nn.ConvTranspose2d(12, 8, 2, stride=2)
        self.back, self.last, self.head = block(16, 8), block(14, 6), nn.Conv2d(6, 2, 1)

    def forward(self, pixels):
        a = self.first(pixels)
        b = self.second(nn.functional.avg_pool2d(a, 2))
        c = self.up(self.third(nn.functional.max_pool2d(b, 2)))
        d = self.back(torch.cat([b, c], dim=1))
        up = nn.functional.interpolate(d, scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.softmax(self.head(self.last(torch.cat([a, up], dim=1))), dim=1)


@dataclass
class Case:
    make: Callable[[str], nn.Module]
    inputs: Callable[[int], dict[str, torch.Tensor]] = pictures
    classic: tuple[int, ...] = ()  # opsets, 20 at most
    dynamo: tuple[int, ...] = ()  # opsets, 18 at least


CASES = {
    "clip-vision": Case(clip_vision, classic=(11, 17), dynamo=(18, 23)),
    "clip-text": Case(clip_text, clip_text_inputs, classic=(14, 17), dynamo=(18, 23)),
    "vit": Case(vit, classic=(11, 17, 20), dynamo=(18, 21, 23)),
    "torchvision-vit": Case(torchvision_vit, classic=(14,), dynamo=(18, 23)),
    "bert-ids": Case(bert_ids, bert_ids_inputs, classic=(11, 17), dynamo=(18, 23)),
    "bert-embeddings": Case(bert_embeddings, bert_embeddings_inputs, classic=(14, 17), dynamo=(18, 23)),
    "resnet": Case(lambda _: NarrowResNet(), classic=(11,), dynamo=(18,)),
    "mobilenet-v2": Case(mobilenet_v2, classic=(14,), dynamo=(20,)),
    "mobilenet-v3": Case(mobilenet_v3, classic=(11, 14), dynamo=(22,)),
    "efficientnet": Case(efficient_net, classic=(11,), dynamo=(23,)),
    "unet": Case(unet, unet_inputs, classic=(14, 17), dynamo=(18, 23)),
    "segmentation-unet": Case(lambda _: SegmentationUNet(), partial(pictures, side=16), classic=(11, 17), dynamo=(23,)),
}


def visible(net: nn.Module) -> nn.Module:
    """Biases start at zero, gains and running statistics at one: makes a swapped or dropped one visible."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_((0.3 if p.dim() < 2 else 0.1) * torch.randn_like(p))
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 1.5)
    return net.eval()


def export(net: nn.Module, inputs: dict[str, torch.Tensor], path: Path, exporter: str, opset: int) -> None:
    names, args = list(inputs), tuple(inputs.values())
    shared = dict(opset_version=opset, input_names=names, output_names=["output"])
    if exporter == "classic":
        axes = {name: {0: "batch"} for name in names}
        torch.onnx.export(net, args, path, dynamo=False, dynamic_axes={**axes, "output": {0: "batch"}}, **shared)
    else:
        shapes = tuple({0: torch.export.Dim("batch")} for _ in names)
        dynamic = (shapes,) if isinstance(net, Output) else shapes  # one argument *inputs there
        torch.onnx.export(net, args, path, dynamo=True, dynamic_shapes=dynamic, external_data=False, **shared)
        without_remarks(path)


def without_remarks(path: Path) -> None:
    """Leaves out what the exporter says about the Python source of each node: several times the size of the rest."""
    model = onnx.load(path)
    graph = model.graph
    for part in [*graph.node, *graph.initializer, *graph.input, *graph.output, graph]:
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]
    onnx.save(model, path)


def make(name: str, case: Case, seed: int) -> None:
    def network(attention: str) -> nn.Module:
        torch.manual_seed(seed)
        return visible(case.make(attention))

    torch.manual_seed(seed + 1000)
    example = case.inputs(EXPORTED_BATCH)
    values = case.inputs(BATCH)

    # float64 from the float32 weights and inputs: what both float32 and float64 evaluation should come near.
    exact = copy.deepcopy(network("eager")).double()
    given = {k: v.double().requires_grad_() if v.is_floating_point() else v for k, v in values.items()}
    output = exact(*given.values())
    cotangent = torch.randn(output.shape)
    floats = [k for k, v in given.items() if v.is_floating_point()]
    slopes = torch.autograd.grad((output * cotangent).sum(), [given[k] for k in floats]) if floats else []
    stored = dict(**values, cotangent=cotangent, output=output.detach())
    stored.update({f"gradient.{k}": v for k, v in zip(floats, slopes)})
    save_file(
        {k: (v.float() if v.is_floating_point() else v).contiguous() for k, v in stored.items()},
        OUT / f"{name}.values.safetensors",
    )
    for exporter, opsets in (("classic", case.classic), ("dynamo", case.dynamo)):
        for opset in opsets:
            path = OUT / f"{name}.{exporter}-{opset}.onnx"
            net = network("eager" if opset < 14 else "sdpa")  # scaled_dot_product_attention came with opset 14
            export(net, example, path, exporter, opset)
            operators = sorted({node.op_type for node in onnx.load(path).graph.node})
            print(path.name, path.stat().st_size, *operators)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    for index, (name, case) in enumerate(CASES.items()):
        if not sys.argv[1:] or name in sys.argv[1:]:
            make(name, case, SEED + index)
    provenance = {
        "script": "reference/onnx_export_golden.py",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "transformers": transformers.__version__,
        "diffusers": diffusers.__version__,
        "onnx": onnx.__version__,
        "onnxscript": onnxscript.__version__,
        "seed": SEED,
        "why trusted": "networks of the libraries themselves, exported by torch; outputs and gradients by torch in float64 on CPU",
        "altered": "names of Python sources, kept by the new exporter in each node, and stated shapes of inner values are left out",
    }
    (OUT / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


main()
