/**
 * The Gaussian kernel of one sampling step, all a sampler states:
 * xNext ~ N(x·X + x0Hat·X0HAT + eps·EPS, std² I), with X0HAT and EPS the predicted clean sample and noise.
 */
export interface Kernel {
  readonly x: number;
  readonly x0Hat: number;
  readonly eps: number;
  readonly std: number;
}
