export type { ExternalData } from "./external.ts";
export {
  MAX_MODEL_BYTES,
  type OnnxInput,
  type OnnxModel,
  type ReadOnnxOptions,
  readableOpsets,
  readOnnx,
} from "./model.ts";
export { type AdaptNode, importOnnx, neededPart, showAxes } from "./translate.ts";
