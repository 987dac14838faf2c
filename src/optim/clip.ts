import { NonFiniteError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";

/**
 * Scales all gradients in place by one factor, so that their common L2 norm is at most `max` [pascanu2013difficulty].
 * Returns the norm before, summed in float64. Throws NonFiniteError that names the first gradient with a NaN or infinity.
 */
export function clipGradNorm(gradients: NamedArrays, max: number): number {
  let squares = 0;
  for (const [name, { data }] of Object.entries(gradients)) {
    let own = 0;
    for (let i = 0; i < data.length; i++) own += data[i]! * data[i]!;
    if (!Number.isFinite(own)) {
      throw new NonFiniteError(
        `The gradient of "${name}" is not finite. A smaller learning rate or a smaller beta usually helps.`,
      );
    }
    squares += own;
  }
  const norm = Math.sqrt(squares);
  if (norm > max) {
    const factor = max / norm;
    for (const { data } of Object.values(gradients)) for (let i = 0; i < data.length; i++) data[i]! *= factor;
  }
  return norm;
}
