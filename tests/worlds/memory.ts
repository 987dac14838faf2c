import { readFileSync } from "node:fs";
import { asConstants } from "../../src/nn/index.ts";
import type { Program } from "../../src/runtime/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { constant, conv2d, gradient, input, type Tensor } from "../../src/tensor/index.ts";
import { mapWeights } from "../../src/weights/index.ts";

// What programs hold, told by the kernel. Run in processes of their own: worlds/child.ts.

/** MB of this process: all pages; its share of the pages of files; pages of no file. Linux only. */
export function memory() {
  const text = readFileSync("/proc/self/smaps_rollup", "utf8");
  const of = (field: string) => Number(new RegExp(`^${field}: +(\\d+) kB`, "m").exec(text)![1]) / 1024;
  return { resident: of("Rss"), proportional: of("Pss"), anonymous: of("Anonymous") };
}

/** Opens and runs, from one file of square matrices, a program with the values of a network and one with its gradient. */
export async function twoPrograms(path: string, cache: string) {
  const arrays = await mapWeights(path, cache);
  const width = Object.values(arrays)[0]!.shape[0]!;
  const x = input("x", [2, width]);
  const y = Object.values(asConstants(arrays)).reduce((h, w) => h.matmul(w, { transB: true }).tanh(), x);
  const runtime = nodeRuntime({ threads: 1 });
  const use = async (outputs: Readonly<Record<string, Tensor>>) => {
    const program = await runtime.compile(outputs);
    await program.run({ x: new Float32Array(2 * width).fill(0.1) });
    return { program, memory: memory() };
  };
  const before = memory();
  const values = await use({ y });
  const both = await use({ y, g: gradient(y.sum(), [x])[0]! });
  for (const { program } of [values, both]) await program.release();
  return { before, one: values.memory, two: both.memory };
}

/** MB resident after each of `counts` programs were compiled and run; what becomes of them is up to `end`. */
export async function rebuilds(counts: readonly number[], end: (program: Program) => unknown): Promise<number[]> {
  const runtime = nodeRuntime({ threads: 1 });
  const weight = new Float32Array(64 * 64 * 9).fill(0.01);
  const feeds = { x: new Float32Array(64 * 64).fill(1) };
  const resident: number[] = [];
  for (let k = 1; k <= Math.max(...counts); k++) {
    const x = input("x", [1, 64, 8, 8]);
    const y = conv2d(x, constant(weight, [64, 64, 3, 3]), { padding: 1 })
      .silu()
      .square()
      .mean();
    const program = await runtime.compile({ y, g: gradient(y, [x])[0]! });
    await program.run(feeds);
    await end(program);
    globalThis.gc!();
    if (counts.includes(k)) resident.push(memory().resident);
  }
  return resident;
}
