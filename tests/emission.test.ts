import { describe, expect, expectTypeOf, test } from "vitest";
import { ShapeError } from "../src/core/errors.ts";
import { emitOnnx } from "../src/onnx/index.ts";
import { referenceRuntime } from "../src/runtime/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { checkpoint, constant, gradient, input, topK } from "../src/tensor/index.ts";

const runtimes = [
  ["ONNX Runtime", nodeRuntime({ threads: 1 })] as const,
  ["the reference", referenceRuntime()] as const,
];

describe("names", () => {
  test("inputs and outputs may have any names, those of generated values too", async () => {
    const names = ["v", "c", "zero"].flatMap((prefix) => Array.from({ length: 8 }, (_, k) => `${prefix}${k}`));
    const xs = names.slice(0, -4).map((name) => input(name, [2]));
    const block = checkpoint((x) => x.mul(constant(Float32Array.of(2, 3), [2])).sin());
    const sum = xs.map(block).reduce((p, q) => p.add(q));
    const loss = sum.sum();
    // Outputs take the rest of such names; `xs[5]` meets a name that an early node would get.
    const outputs = { zero4: loss, zero5: sum, zero6: xs[5]!.add(1), zero7: gradient(loss, xs)[9]! };
    const feeds = Object.fromEntries(xs.map((x, k) => [x.attrs.name as string, Float32Array.of(k / 9, -k / 7)]));
    const results = await Promise.all(
      runtimes.map(async ([, runtime]) => {
        const program = await runtime.compile(outputs);
        expect(Object.keys(program.inputs).sort()).toEqual(Object.keys(feeds).sort());
        return program.run(feeds);
      }),
    );
    for (const name of Object.keys(outputs))
      results[0]![name]!.forEach((value, k) => {
        expect(value).toBeCloseTo(results[1]![name]![k]!, 5);
      });
  });

  test("an output with the name of an input is refused", () => {
    expect(() => emitOnnx({ x: input("x", [2]).add(1) })).toThrow(
      'output "x": inputs and outputs need different names',
    );
  });
});

describe("inputs", () => {
  test("of one name must agree in shape and type", () => {
    const x = input("x", [2]);
    expect(() => emitOnnx({ y: x.add(1), z: input("x", [2], "int32").add(1) })).toThrow(
      'input "x" is used as float32 [2] and int32 [2]',
    );
    expect(() => emitOnnx({ y: x.add(1), z: input("x", [3]).add(1) })).toThrow("float32 [2] and float32 [3]");
    expect(emitOnnx({ y: x.add(input("x", [2])) }).inputs).toEqual({ x: { shape: [2], dtype: "float32" } });
  });

  test("are fed arrays of exactly their type and number of elements", async () => {
    const program = await nodeRuntime({ threads: 1 }).compile({ y: input("x", [2]).add(1) });
    for (const x of [new Float32Array(3), new Int32Array(2), new Float64Array(2), [1, 2], undefined]) {
      await expect(program.run({ x: x as Float32Array })).rejects.toThrow(ShapeError);
    }
    expect((await program.run({ x: Float32Array.of(1, 2) })).y).toEqual(Float32Array.of(2, 3));
    await program.release();
  });
});

describe.each(runtimes)("int32 outputs of %s", (_, runtime) => {
  test("come as Int32Array, float32 outputs as Float32Array, new ones with each run", async () => {
    const { values, indices } = topK(input("x", [2, 3]), 2);
    const program = await runtime.compile({ values, indices });
    expect(program.outputs).toEqual({
      values: { shape: [2, 2], dtype: "float32" },
      indices: { shape: [2, 2], dtype: "int32" },
    });
    expectTypeOf(program.integers).toEqualTypeOf<Readonly<Record<string, Int32Array>>>();

    expect(await program.run({ x: Float32Array.of(1, 3, 2, 9, 7, 8) })).toEqual({
      values: Float32Array.of(3, 2, 9, 8),
    });
    expect(program.integers).toEqual({ indices: Int32Array.of(1, 2, 0, 2) });
    await program.run({ x: Float32Array.of(3, 2, 1, 4, 5, 6) });
    expect(program.integers).toEqual({ indices: Int32Array.of(0, 1, 2, 1) });
    await program.release();
  });

  test("hold integers that float32 cannot", async () => {
    const ids = input("ids", [2], "int32");
    const program = await runtime.compile({ same: ids, next: ids.add(1) });
    expect(await program.run({ ids: Int32Array.of(2 ** 30, -5) })).toEqual({});
    expect(program.integers).toEqual({ same: Int32Array.of(2 ** 30, -5), next: Int32Array.of(2 ** 30 + 1, -4) });
    await program.release();
  });
});
