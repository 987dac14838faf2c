import type { NamedArrays } from "../core/named-arrays.ts";
import { type MobileNetV2Config, mobilenetV2Specs, parseMobileNetV2Config } from "./mobilenet-v2.ts";
import { loadNetwork } from "./network-folder.ts";

/** What `mobilenetV2` needs. */
export interface MobileNetV2 {
  config: MobileNetV2Config;
  weights: NamedArrays;
}

/** Reads a folder that scripts/convert-mobilenet.mjs wrote. Throws FormatError when its files do not fit together. */
export const loadMobileNetV2 = (dir: string): Promise<MobileNetV2> =>
  loadNetwork(dir, { parse: parseMobileNetV2Config, specs: mobilenetV2Specs });
