import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { buildHeader } from "../src/weights/safetensors-header.ts";
import { transpiled } from "./worlds/child.ts";

const folder = mkdtempSync(join(tmpdir(), "nablaflow-weights-memory-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MiB = 2 ** 20;
const numbers = (10 * MiB) / 2; // of a tensor of 10 MiB as float16, 20 MiB as float32

/** Prints by how many MiB the peak of resident memory is above what it was before, when each tensor is looked at and let go. */
const program = `
import { readFileSync } from "node:fs";
import { openWeights } from "./src/weights/open-weights.js";
const peak = () => Number(/VmHWM:\\s*(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
const before = peak();
const file = await openWeights(process.argv[2]);
let read = 0;
for (const name of file.tensors.keys()) {
  read += (await file.read(name)).data.length;
  gc();
}
await file.close();
console.log(JSON.stringify({ read, more: peak() - before }));
`;

// Only Linux tells a process the peak of its memory in /proc.
test.runIf(process.platform === "linux")(
  "a sharded file of 400 MiB is read with no more than one tensor's bytes and numbers in memory",
  () => {
    const code = transpiled(join(folder, "code"));
    writeFileSync(join(code, "stream.js"), program);
    const dir = join(folder, "model");
    mkdirSync(dir);
    const weightMap: Record<string, string> = {};
    for (const shard of [1, 2]) {
      const name = `model-0000${shard}-of-00002.safetensors`;
      const tensors = Array.from({ length: 20 }, (_, k) => ({
        name: `w${shard}.${k}`,
        dtype: "F16" as const,
        shape: [numbers],
        bytes: 2 * numbers,
      }));
      const header = buildHeader(tensors, { format: "pt" });
      writeFileSync(join(dir, name), header);
      truncateSync(join(dir, name), header.length + 20 * 2 * numbers); // sparse: takes no disk
      for (const tensor of tensors) weightMap[tensor.name] = name;
    }
    const index = { metadata: { total_size: 400 * MiB }, weight_map: weightMap };
    writeFileSync(join(dir, "model.safetensors.index.json"), JSON.stringify(index));
    const said = execFileSync(process.execPath, ["--expose-gc", join(code, "stream.js"), dir], { encoding: "utf8" });
    const { read, more } = JSON.parse(said);
    expect(read).toBe(40 * numbers);
    // 10 + 20 MiB for one tensor; the next is read while the collector may still hold the one before: 60, and 20 to spare.
    expect(more).toBeLessThan(80);
  },
  120_000,
);
