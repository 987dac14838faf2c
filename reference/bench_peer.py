"""PyTorch's side of `npm run bench -- --peer PYTHON`: the same network, parameters and inputs, driven over standard input.

    run N → milliseconds of N runs;  memory → peak resident memory in MiB;  results FILE → the arrays of the last run
    python reference/bench_peer.py NETWORK WORK DATA.safetensors THREADS eager|channels_last|compile

Needs torch, diffusers, transformers and safetensors.
"""
import json
import sys
import time

import torch
from safetensors.torch import load_file, save_file

name, work, data, threads, way = sys.argv[1:]
torch.set_num_threads(int(threads))
arrays = load_file(data)
parameters = {k.removeprefix("parameters."): v for k, v in arrays.items() if k.startswith("parameters.")}
inputs = {k.removeprefix("inputs."): v for k, v in arrays.items() if k.startswith("inputs.")}


def unet():
    from diffusers import UNet2DModel

    net = UNet2DModel(
        sample_size=32, in_channels=3, out_channels=3, layers_per_block=2, block_out_channels=(64, 128, 128),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=64, norm_num_groups=32,
    )
    net.load_state_dict(parameters)
    return net, lambda net: net(inputs["x"], inputs["t"]).sample


def encoder(width, inner, depth, activation):
    from transformers import CLIPVisionConfig
    from transformers.models.clip.modeling_clip import CLIPEncoder

    config = CLIPVisionConfig(
        hidden_size=width, intermediate_size=inner, num_hidden_layers=depth, num_attention_heads=8,
        hidden_act=activation, attention_dropout=0.0,
    )
    config._attn_implementation = "sdpa"
    net = CLIPEncoder(config)
    net.load_state_dict({k.removeprefix("encoder."): v for k, v in parameters.items()})
    return net, lambda net: net(inputs_embeds=inputs["x"]).last_hidden_state


net, forward = {
    "unet": unet,
    "transformer-block": lambda: encoder(256, 1024, 1, "gelu"),
    "clip-encoder": lambda: encoder(512, 2048, 6, "quick_gelu"),
}[name]()
net.eval()
prefix = "" if name == "unet" else "encoder."
frozen = work in ("forward", "input-gradient")
net.requires_grad_(not frozen)
if way == "channels_last":
    net = net.to(memory_format=torch.channels_last)
    inputs["x"] = inputs["x"].contiguous(memory_format=torch.channels_last)
called = torch.compile(net) if way == "compile" else net
if work == "input-gradient":
    inputs["x"].requires_grad_(True)
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=1e-2, fused=True) if work == "step" else None
results = {}


def run():
    global results
    if work == "forward":
        with torch.no_grad():
            results = {"output": forward(called)}
        return
    loss = forward(called).square().mean()
    if work == "input-gradient":
        results = {"x": torch.autograd.grad(loss, inputs["x"])[0]}
        return
    net.zero_grad(set_to_none=True)
    loss.backward()
    results = {prefix + k: p.grad for k, p in net.named_parameters()}
    if optimizer:
        optimizer.step()


def timed(count):
    times = []
    for _ in range(int(count)):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def save(path):
    save_file({k: v.detach().contiguous() for k, v in results.items()}, path)
    return len(results)


def say(value):
    print(json.dumps(value), flush=True)


say({"torch": torch.__version__})
for line in sys.stdin:
    command, *argument = line.split()
    say({"run": timed, "memory": memory, "results": save}[command](*argument))
