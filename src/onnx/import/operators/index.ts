import type { Translations } from "../node.ts";
import { activations, microsoftActivations } from "./activation.ts";
import { arithmetic } from "./arithmetic.ts";
import { attentions } from "./attention.ts";
import { convolutions } from "./conv.ts";
import { cuts } from "./cut.ts";
import { indexings } from "./indexing.ts";
import { layouts } from "./layout.ts";
import { microsoftProducts, products } from "./linear.ts";
import { normalizations } from "./norm.ts";
import { pools } from "./pool.ts";
import { reductions } from "./reduce.ts";
import { resizes } from "./resize.ts";

/** Translations of each operator set by its domain; ONNX's own is "". */
export const domains: Readonly<Record<string, Translations>> = {
  "": {
    ...activations,
    ...arithmetic,
    ...attentions,
    ...convolutions,
    ...cuts,
    ...indexings,
    ...layouts,
    ...normalizations,
    ...pools,
    ...products,
    ...reductions,
    ...resizes,
  },
  "com.microsoft": { ...microsoftActivations, ...microsoftProducts },
};
