import { InferenceSession, listSupportedBackends } from "onnxruntime-node";
import { ConfigError } from "../core/errors.ts";
import { emitOnnx } from "../onnx/index.ts";
import { input } from "../tensor/index.ts";
import { type NodeProvider, nodeProviders, operatorsOf } from "./providers.ts";

/** How a machine gets a provider that it lacks. */
const waysOut: Readonly<Record<NodeProvider, string>> = {
  cpu: "Install the package again.",
  webgpu:
    "It needs a graphics card with a driver for Vulkan (Linux), Metal (macOS) or Direct3D 12 (Windows). For tests, Debian's package chromium brings SwiftShader, which computes on the processor: set VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json, LD_LIBRARY_PATH=/usr/lib/chromium and XDG_RUNTIME_DIR to any folder.",
  cuda: "It needs Linux on x64, an NVIDIA card with CUDA 12 and cuDNN 9, and libraries that are not installed by default: npm rebuild onnxruntime-node --onnxruntime-node-install=cuda12.",
  coreml: "It is part of ONNX Runtime on macOS only.",
  dml: "It is part of ONNX Runtime on Windows only.",
};

/** Throws ConfigError for a provider that this build of ONNX Runtime does not know. */
export function refuseAbsent(provider: NodeProvider): void {
  if (!nodeProviders.includes(provider)) {
    throw new ConfigError(`A runtime in Node has a provider of ${nodeProviders.join(", ")}, but "${provider}" came.`);
  }
  const known = listSupportedBackends().map(({ name }) => name);
  if (!known.includes(provider)) {
    throw new ConfigError(
      `Provider "${provider}" is not in ONNX Runtime for ${process.platform} on ${process.arch}, which has ${known.join(", ")}. ${waysOut[provider]}`,
    );
  }
}

const checked = new Map<NodeProvider, Promise<void>>();

/** Throws ConfigError unless operators run on the provider here: its libraries load, and it has a device. */
export function checkProvider(provider: NodeProvider): Promise<void> {
  const check = checked.get(provider) ?? tryOut(provider);
  checked.set(provider, check);
  return check;
}

/** Opens x·x + 1 for this provider alone: ONNX Runtime would otherwise give nodes that a provider lacks to the CPU. */
async function tryOut(provider: NodeProvider): Promise<void> {
  refuseAbsent(provider);
  if (provider === "cpu") return; // the one that takes what others lack
  const x = input("x", [4]);
  try {
    const session = await InferenceSession.create(
      emitOnnx({ y: x.mul(x).add(1) }, { operators: operatorsOf[provider] }).bytes,
      {
        executionProviders: [provider],
        logSeverityLevel: 4,
        extra: { session: { disable_cpu_ep_fallback: "1" } },
      },
    );
    await session.release();
  } catch (error) {
    const reason = (error as Error).message
      .trim()
      .split("\n")[0]!
      .replace(/^.* was false\. /, "");
    throw new ConfigError(`Provider "${provider}" does not run here: ${reason}. ${waysOut[provider]}`);
  }
}
