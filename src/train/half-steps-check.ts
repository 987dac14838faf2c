import type { Objective } from "../objectives/index.ts";

/** Why half steps cannot be taken with the h of an objective, with the way out; undefined when they can. */
export function halfStepsRefusal({ kind, flowGradient }: Pick<Objective, "kind" | "flowGradient">): string | undefined {
  if (flowGradient) return undefined;
  return `Half steps follow h = ∇log F̃, which a flow network learns, but ${kind} with these options has none. Sample in whole steps, or train objective.kind residual-nabla-db with reverseWeight above 0 and priorStrength 1.`;
}
