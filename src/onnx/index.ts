export { type EmittedModel, emitOnnx, type InputInfo, opset } from "./emit.ts";
