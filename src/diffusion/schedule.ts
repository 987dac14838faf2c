/** How much noise training added at each train time, in the words of a diffusers scheduler_config. */
export interface NoiseSchedule {
  /** Number N of train times, e.g. 1000. */
  readonly trainSteps: number;
  readonly betaSchedule: "linear" | "scaled_linear" | "squaredcos_cap_v2";
  readonly betaStart: number;
  readonly betaEnd: number;
}

const MAX_BETA = 0.999; // of squaredcos_cap_v2

/** Signal power ᾱ_t = Π_{s≤t} (1 − β_s) of the train times t = 0 … N−1 [ho2020ddpm], in float64 (diffusers: float32). */
export function alphasCumprod(schedule: NoiseSchedule): Float64Array {
  const beta = betaOf(schedule);
  const alphaBar = new Float64Array(schedule.trainSteps);
  let product = 1;
  for (let t = 0; t < alphaBar.length; t++) {
    product *= 1 - beta(t);
    alphaBar[t] = product;
  }
  return alphaBar;
}

function betaOf({ trainSteps, betaSchedule, betaStart, betaEnd }: NoiseSchedule): (t: number) => number {
  const line = (from: number, to: number, t: number) => from + ((to - from) * t) / Math.max(1, trainSteps - 1);
  switch (betaSchedule) {
    case "linear":
      return (t) => line(betaStart, betaEnd, t);
    // linear in √β, as latent diffusion was trained
    case "scaled_linear":
      return (t) => line(Math.sqrt(betaStart), Math.sqrt(betaEnd), t) ** 2;
    // [nichol2021improved]: ᾱ(u) = cos²((u + 0.008)/1.008 · π/2), β_t = 1 − ᾱ((t+1)/N)/ᾱ(t/N)
    case "squaredcos_cap_v2": {
      const power = (u: number) => Math.cos((((u + 0.008) / 1.008) * Math.PI) / 2) ** 2;
      return (t) => Math.min(1 - power((t + 1) / trainSteps) / power(t / trainSteps), MAX_BETA);
    }
  }
}
