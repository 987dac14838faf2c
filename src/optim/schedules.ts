/** Learning rate of update 0, 1, …, updates − 1. */
export type LearningRate = (update: number) => number;

/** `lr`, and a tenth of it from the fraction `decayAt` of all updates on; `decayAt` 1 never decays. */
export function constantRate(lr: number, updates: number, decayAt = 1): LearningRate {
  return (update) => (update < decayAt * updates ? lr : 0.1 * lr);
}

/** Rises in a line over the first `warmup` updates, then falls along half a cosine to 0 at the end [loshchilov2017sgdr]. */
export function warmupCosineRate(lr: number, updates: number, warmup: number): LearningRate {
  return (update) => {
    if (update < warmup) return (lr * (update + 1)) / warmup;
    const progress = (update - warmup) / (updates - warmup);
    return (lr / 2) * (1 + Math.cos(Math.PI * Math.min(progress, 1)));
  };
}
