import { evaluate, type Tensor } from "../src/tensor/index.ts";

/** Slope of a scalar by one number of an input, in the float64 reference: (f(x + h) − f(x − h))/2h with h = 1e-4. */
export function centralDifference(
  loss: Tensor,
  feeds: Readonly<Record<string, ArrayLike<number>>>,
  name: string,
  index: number,
): number {
  const h = 1e-4;
  const at = (step: number) => {
    const moved = Float64Array.from(feeds[name]!);
    moved[index]! += step;
    return evaluate([loss], { ...feeds, [name]: moved })[0]![0]!;
  };
  return (at(h) - at(-h)) / (2 * h);
}
