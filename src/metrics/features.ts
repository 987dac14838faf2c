/** Feature vectors of images: row j of `data` [n, size] belongs to an image of prompt `prompts[j]`. */
export interface Features {
  readonly data: ArrayLike<number>;
  readonly size: number;
  readonly prompts: readonly string[];
}

/** Which images each prompt has, prompts in order of first appearance. */
export function imagesByPrompt(prompts: readonly string[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  prompts.forEach((prompt, j) => {
    const group = groups.get(prompt);
    if (group) group.push(j);
    else groups.set(prompt, [j]);
  });
  return groups;
}

/** The feature vectors of each prompt, in order of first appearance. */
export function featuresByPrompt({ data, size, prompts }: Features): Map<string, Float64Array[]> {
  const row = (j: number) => Float64Array.from({ length: size }, (_, d) => data[j * size + d]!);
  return new Map([...imagesByPrompt(prompts)].map(([prompt, images]) => [prompt, images.map(row)]));
}

export function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let d = 0; d < x.length; d++) sum += x[d]! * y[d]!;
  return sum;
}

/** Mean and standard deviation (n − 1) over prompts. */
export function overPrompts(values: readonly number[]): { value: number; std?: number } {
  const value = values.reduce((sum, v) => sum + v, 0) / values.length;
  if (values.length < 2) return { value };
  const squares = values.reduce((sum, v) => sum + (v - value) ** 2, 0);
  return { value, std: Math.sqrt(squares / (values.length - 1)) };
}
