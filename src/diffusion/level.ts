/** One noise level of a chain: a state there is x = √ᾱ x0 + noise·z with z ~ N(0, I). */
export interface Level {
  /** Train time of the network, e.g. 0 … 999, or the flow time in [0, 1]. */
  readonly t: number;
  /** Signal power ᾱ; (1 − t)² for rectified flow. */
  readonly alphaBar: number;
  /** Standard deviation of the noise: √(1 − ᾱ) for diffusion, t for rectified flow. */
  readonly noise: number;
  /** √ᾱ of the diffusion with the same signal-to-noise ratio, √(ᾱ/(ᾱ + noise²)): it depends on no scale of the states. */
  readonly share: number;
}

/** The level of a variance-preserving diffusion: noise = √(1 − ᾱ). */
export const diffusionLevel = (t: number, alphaBar: number): Level => ({
  t,
  alphaBar,
  noise: Math.sqrt(1 - alphaBar),
  share: Math.sqrt(alphaBar),
});

/** The level of rectified flow at t in [0, 1], 1 = noise: x = (1 − t) x0 + t z. */
export const flowLevel = (t: number): Level => ({
  t,
  alphaBar: (1 - t) ** 2,
  noise: t,
  share: (1 - t) / Math.hypot(1 - t, t),
});
