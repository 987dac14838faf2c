import { Rng } from "../../src/core/rng.ts";
import { type Lora, type LoraModule, loraModule } from "../../src/weights/lora/index.ts";

export interface Shape {
  rank: number;
  alpha: number;
  /** [out, in] or [out, in, kh, kw] of the weight. */
  weight: readonly number[];
}

/** A LoRA of normal numbers, std 0.3; the same for the same names. */
export function randomLora(shapes: Readonly<Record<string, Shape>>, seed = 0): Lora {
  const rng = new Rng(seed);
  const modules = Object.entries(shapes).map(([name, { rank, alpha, weight }], k): [string, LoraModule] => {
    const [outputs, ...inputs] = weight as [number, ...number[]];
    const array = (shape: number[], sample: number) => ({
      shape,
      data: rng
        .normal(
          shape.reduce((product, side) => product * side, 1),
          { purpose: "init", sample },
        )
        .map((z) => 0.3 * z),
    });
    const down = array([rank, ...inputs], 2 * k);
    const up = array([outputs, rank, ...inputs.slice(1).map(() => 1)], 2 * k + 1);
    return [name, loraModule(name, down, up, alpha, "random")];
  });
  return Object.fromEntries(modules);
}
