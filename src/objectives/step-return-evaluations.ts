/**
 * Evaluations of the denoiser for k-step returns of a trajectory: expected over the draw of n − 1 strata and the last step.
 * Forwards at the distinct states that are passed, a vector-Jacobian product for each step of each return, and h, two each, at
 * the distinct states x_i and x_{i+k} before x_T.
 */
export function stepReturnEvaluations(T: number, n: number, k: number): number {
  const draws = [...Array.from({ length: n - 1 }, (_, s) => stratum(s, n - 1, T)), unit(T, T - 1)];
  /** States before x_T of which some draw i has one in the set that `reached` gives. */
  const distinct = (reached: (i: number) => readonly number[]) =>
    sum(
      unit(T, 0).map((_, j) => {
        const missed = draws.map((p) => 1 - sum(p.map((chance, i) => (reached(i).includes(j) ? chance : 0))));
        return 1 - missed.reduce((product, chance) => product * chance, 1);
      }),
    );
  const passed = (i: number) => Array.from({ length: Math.min(k, T - i) }, (_, m) => i + m);
  const products = sum(draws.map((p) => sum(p.map((chance, i) => chance * Math.min(k, T - i)))));
  return distinct(passed) + products + 2 * distinct((i) => [i, i + k]);
}

/** Probability of each step in stratum s of S equal ones, which need not end at whole steps. */
function stratum(s: number, S: number, T: number): number[] {
  const [low, high] = [(s * T) / S, ((s + 1) * T) / S];
  return Array.from({ length: T }, (_, i) => Math.max(0, Math.min(high, i + 1) - Math.max(low, i)) / (high - low));
}

const unit = (T: number, at: number): number[] => Array.from({ length: T }, (_, i) => (i === at ? 1 : 0));

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
