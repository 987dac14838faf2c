import { nodeRuntime } from "../dist/runtime/node.js";
import { constant, conv2d, input } from "../dist/tensor/index.js";

/** The fastest product and the fastest convolution that ONNX Runtime does on this machine, in GFLOPS: the best of ten runs each. */
export async function measureCeilings(threads) {
  const n = 2048;
  const [a, b] = [input("a", [n, n]), input("b", [n, n])];
  const matmul = await best(threads, a.matmul(b), { a: wave(n * n), b: wave(n * n) }, 2 * n ** 3);
  const [batch, channels, side] = [8, 128, 32];
  const x = input("x", [batch, channels, side, side]);
  const w = constant(wave(channels * channels * 9), [channels, channels, 3, 3]);
  const flops = 2 * batch * channels * channels * side * side * 9;
  const conv = await best(threads, conv2d(x, w, { padding: 1 }), { x: wave(x.size) }, flops);
  return { matmul, conv };
}

async function best(threads, output, feeds, flops) {
  const program = await nodeRuntime({ threads }).compile({ output });
  let seconds = Number.POSITIVE_INFINITY;
  for (let k = 0; k < 10; k++) {
    const start = performance.now();
    await program.run(feeds);
    seconds = Math.min(seconds, (performance.now() - start) / 1e3);
  }
  await program.release();
  return flops / seconds / 1e9;
}

const wave = (size) => Float32Array.from({ length: size }, (_, k) => Math.sin(k));
