import type { Level } from "./level.ts";

/**
 * What a network's output means: the noise, the clean sample, v = √ᾱ ε − √(1−ᾱ) x0 of diffusion [salimans2022progressive],
 * or the velocity z − x0 of rectified flow.
 */
export type Prediction = "epsilon" | "sample" | "v_prediction" | "velocity";

/** Numbers of a linear map (x, out) ↦ x·X + out·OUT. */
export interface Linear {
  readonly x: number;
  readonly out: number;
}

/** The predicted clean sample x0Hat and noise eps as linear maps of the state and the (guided) network output. */
export interface Conversion {
  readonly x0Hat: Linear;
  readonly eps: Linear;
}

/** Both satisfy x = √ᾱ x0Hat + noise·eps, so one of them fixes the other. */
export function conversion(prediction: Prediction, { alphaBar, noise }: Level): Conversion {
  const signal = Math.sqrt(alphaBar);
  switch (prediction) {
    // x0Hat = (x − noise·ε)/√ᾱ
    case "epsilon":
      return { x0Hat: { x: 1 / signal, out: -noise / signal }, eps: { x: 0, out: 1 } };
    // ε = (x − √ᾱ x0Hat)/noise
    case "sample":
      return { x0Hat: { x: 0, out: 1 }, eps: { x: 1 / noise, out: -signal / noise } };
    // x0Hat = √ᾱ x − √(1−ᾱ) v,  ε = √(1−ᾱ) x + √ᾱ v
    case "v_prediction":
      return { x0Hat: { x: signal, out: -noise }, eps: { x: noise, out: signal } };
    // x0Hat = x − t v,  ẑ = x + (1−t) v
    case "velocity":
      return { x0Hat: { x: 1, out: -noise }, eps: { x: 1, out: signal } };
  }
}
