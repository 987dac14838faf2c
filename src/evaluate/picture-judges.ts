import type { Runtime } from "../runtime/index.ts";
import { openAgreement, openFeatures } from "../sample/picture-networks.ts";
import type { Judges } from "./judges.ts";

/** The bundled feature network and agreement classifier. */
export async function openPictureJudges(runtime: Runtime, block: number): Promise<Judges> {
  const { features, size } = await openFeatures(runtime, block);
  const { agrees } = await openAgreement(runtime, block);
  return {
    features: async (images) => ({ data: await features(images), size }),
    agreement: agrees,
    kernel: "polynomial",
  };
}
