export {
  type ChainSampler,
  type ChainSamplerOptions,
  type NoiseSource,
  openChainSampler,
  type SampleRequest,
  type Trajectories,
} from "./chain-sampler.ts";
export { type Conditions, encodePrompts } from "./conditions.ts";
export { guided } from "./guided.ts";
export { openScorer, type Scorer } from "./image-scorer.ts";
export {
  type AgreementNetwork,
  type FeatureNetwork,
  openAgreement,
  openFeatures,
  openThirdPartyFeatures,
} from "./picture-networks.ts";
