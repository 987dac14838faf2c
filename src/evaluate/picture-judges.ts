import { SIDE } from "../data/index.ts";
import type { Runtime } from "../runtime/index.ts";
import {
  type FeatureNetwork,
  openAgreement,
  openFeatures,
  openThirdPartyFeatures,
} from "../sample/picture-networks.ts";
import type { Judges } from "./judges.ts";

/** The bundled feature networks, ours and a third party's, and the agreement classifier. */
export async function openPictureJudges(runtime: Runtime, block: number): Promise<Judges> {
  const own = await openFeatures(runtime, block);
  const thirdParty = await openThirdPartyFeatures(runtime, SIDE, block);
  const { agrees } = await openAgreement(runtime, block);
  return {
    features: featuresOf(own),
    thirdPartyFeatures: featuresOf(thirdParty),
    agreement: agrees,
    kernel: "polynomial",
  };
}

const featuresOf =
  ({ features, size }: FeatureNetwork) =>
  async (images: Float32Array) => ({ data: await features(images), size });
