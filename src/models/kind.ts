import type { z } from "zod";
import type { ConfigData } from "../core/config.ts";
import type { Model } from "./model.ts";

/** What a model file states so that a configuration can name it. */
export interface ModelKind<Options = unknown> {
  readonly kind: string;
  /** One line for `nabla list models`. */
  readonly summary: string;
  readonly options: z.ZodType;
  /** Configuration that a file with this kind of model need not write: sampler, finetune, train, evaluate … */
  readonly defaults: ConfigData;
  /** Reads weights; called with checked options, after the whole configuration has been checked. */
  load(options: Options): Promise<Model>;
}

export const defineModel = <Options>(kind: ModelKind<Options>): ModelKind<Options> => kind;
