"""Trains a small network in PyTorch that scores how warm the colours of a drawing are, and exports it to ONNX.
    python examples/exported-reward.py          (torch, onnx and onnxscript; a minute or two of one thread)

The pictures are made up: overlapping ellipses on a ground of any colour. The score is the share of red to yellow (+1) against
that of cyan to blue (-1) among the ellipses alone, so the network has to find out what is drawn and what is ground."""

import math
from pathlib import Path

import torch
from torch import nn

SEED, STEPS, BATCH, SIDE = 5, 1200, 64, 32
MEAN, STD = 0.5, 0.25  # of pictures in [0, 1]; reward.mean and reward.std say the same
WARMEST = 30  # degrees of hue: orange


class Warmth(nn.Module):
    def __init__(self, widths=(32, 32, 32)):
        super().__init__()
        # Warmth is a matter of areas, and so its gradient should be: no pattern of single pixels changes means over 4x4.
        layers, ins = [nn.AvgPool2d(4)], 3
        for outs in widths:
            layers += [nn.Conv2d(ins, outs, 3, padding=1), nn.BatchNorm2d(outs), nn.SiLU()]
            ins = outs
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(ins, 1)

    def forward(self, pixels):
        return self.head(self.features(pixels))  # [B, 1]; no squashing at the end, so that the gradient stays


def rgb(hue, saturation, value):
    """Colours [..., 3] from hue in degrees and saturation and value in [0, 1]."""
    k = (torch.tensor([5.0, 3.0, 1.0]) + hue[..., None] / 60) % 6
    return value[..., None] * (1 - saturation[..., None] * torch.minimum(k, 4 - k).clamp(0, 1))


def drawings(count):
    """Pictures [B, 3, H, W] in [0, 1] and their warmth [B, 1]."""
    ground = rgb(360 * torch.rand(count), torch.rand(count), torch.rand(count).sqrt())
    ground[torch.rand(count) < 0.3] = 1.0  # white is common
    pictures = ground[:, :, None, None].repeat(1, 1, SIDE, SIDE)
    warmth, drawn = torch.zeros(count, SIDE, SIDE), torch.zeros(count, SIDE, SIDE)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, SIDE)] * 2, indexing="ij")
    theme = 360 * torch.rand(count)  # the ellipses of a picture have related colours
    for _ in range(4):
        centre, axes = 1.2 * torch.rand(2, count, 1, 1) - 0.6, 0.15 + 0.55 * torch.rand(2, count, 1, 1)
        inside = ((x - centre[0]) / axes[0]) ** 2 + ((y - centre[1]) / axes[1]) ** 2 < 1
        hue, saturation, value = theme + 40 * torch.randn(count), torch.rand(count), 0.2 + 0.8 * torch.rand(count)
        pictures = torch.where(inside[:, None], rgb(hue, saturation, value)[:, :, None, None], pictures)
        part = saturation * value * torch.cos((hue - WARMEST) * math.pi / 180)
        warmth, drawn = torch.where(inside, part[:, None, None], warmth), torch.where(inside, 1.0, drawn)
    shades = 0.08 * nn.functional.interpolate(torch.randn(count, 1, 5, 5), SIDE, mode="bicubic")
    noise = 0.02 * torch.randn_like(pictures)
    score = warmth.sum([1, 2]) / drawn.sum([1, 2]).clamp(min=1)
    return (pictures + shades + noise).clamp(0, 1), score[:, None]


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    net = Warmth()
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=STEPS)
    for step in range(STEPS):
        pictures, warmth = drawings(BATCH)
        loss = nn.functional.mse_loss(net((pictures - MEAN) / STD), warmth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    net.eval()  # batch norm and dropout as they are for inference
    with torch.no_grad():
        pictures, warmth = drawings(2000)
        score = net((pictures - MEAN) / STD)
        r = torch.corrcoef(torch.cat([score, warmth], dim=1).T)[0, 1]
        print(f"2,000 new pictures: correlation with their warmth {r:.3f}, error {(score - warmth).square().mean().sqrt():.3f}")

    program = torch.onnx.export(
        net,
        (torch.zeros(2, 3, SIDE, SIDE),),
        input_names=["pixels"],
        output_names=["warmth"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    for node in program.model.graph:
        node.metadata_props.clear()  # lines of this source and where it lies on this machine
    path = Path(__file__).with_suffix(".onnx")
    program.save(path)
    print(f"{path}: {path.stat().st_size} bytes")


main()
