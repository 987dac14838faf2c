export { type EmitOptions, type EmittedModel, emitOnnx, opset, type ValueInfo } from "./emit.ts";
export {
  type AdaptNode,
  type ExternalData,
  importOnnx,
  MAX_MODEL_BYTES,
  neededPart,
  type OnnxInput,
  type OnnxModel,
  type ReadOnnxOptions,
  readableOpsets,
  readOnnx,
  showAxes,
} from "./import/index.ts";
export type { WeightFiles } from "./weight-files.ts";
