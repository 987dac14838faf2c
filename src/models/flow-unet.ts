import { initialize, type ParamSpecs } from "../nn/index.ts";
import type { Tensor } from "../tensor/index.ts";
import type { Condition, Network } from "./model.ts";
import { type UNetConfig, unet, unetSpecs } from "./unet.ts";

/** g_φ as a U-Net whose last layer starts at zero; `textOf` makes the text [B, L, D] that it sees of the model's condition. */
export function flowUNet(config: UNetConfig, textOf: (condition: Condition) => Tensor): Network {
  return {
    init(rng) {
      const zero = (name: string) => name.startsWith("conv_out.");
      const specs = Object.entries(unetSpecs(config)).map(([name, spec]) => [
        name,
        zero(name) ? { ...spec, init: "zeros" } : spec,
      ]);
      return initialize(Object.fromEntries(specs) as ParamSpecs, rng);
    },
    predict: (params, x, { t }, condition) => unet(params, config, x, t, textOf(condition)),
  };
}
