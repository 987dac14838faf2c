/** One measured number, as evaluations report it. */
export interface Measurement {
  readonly value: number;
  /** Standard deviation over prompts, where the value is an average over them; of the reward, over samples. */
  readonly std?: number;
  /** Its standard error, where that is known from the samples alone. */
  readonly error?: number;
  /** Samples it was measured on. */
  readonly n: number;
  /** The value of a perfect model with as many samples. */
  readonly floor?: number;
}

/** What a metric file states besides its function. */
export interface MetricInfo {
  readonly kind: string;
  /** One line for `nabla list metrics`. */
  readonly summary: string;
  /** Which direction is better. */
  readonly better: "higher" | "lower" | "one";
}

/** A registered metric: a pure function of arrays that knows what it measures. */
export type Metric<Measure extends (...needed: never[]) => Measurement> = Measure & MetricInfo;

export function defineMetric<Measure extends (...needed: never[]) => Measurement>(
  info: MetricInfo,
  measure: Measure,
): Metric<Measure> {
  return Object.assign(measure, info);
}
