import { ConfigError } from "../core/errors.ts";
import type { Adaptation, Model } from "../models/index.ts";
import type { Objective } from "../objectives/index.ts";

/** What the objective trains: the model's adaptation, or one with a tempered base. Throws ConfigError where the model has none. */
export function adaptationFor(
  { kind, temperedBase }: Pick<Objective, "kind" | "temperedBase">,
  { model, adaptation }: { readonly model: Pick<Model, "kind" | "prediction">; readonly adaptation: Adaptation },
): Adaptation {
  if (temperedBase === undefined) return adaptation;
  if (adaptation.tempered) return adaptation.tempered(temperedBase);
  throw new ConfigError(
    `${kind} with base "tempered" needs an exact world of a diffusion, but the model is "${model.kind}" and predicts ${model.prediction}. Leave objective.base out, or set objective.priorStrength to 1.`,
  );
}
