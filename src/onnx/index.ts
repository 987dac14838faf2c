export { type EmittedModel, emitOnnx, opset, type ValueInfo } from "./emit.ts";
export {
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
