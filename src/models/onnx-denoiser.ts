import { ConfigError, ShapeError } from "../core/errors.ts";
import { type NamedArray, type NamedArrays, withPrefix } from "../core/named-arrays.ts";
import type { Params } from "../nn/index.ts";
import { importOnnx, type OnnxInput, type OnnxModel } from "../onnx/index.ts";
import { concat, type Shape, showShape, type Tensor } from "../tensor/index.ts";
import type { DenoiserInputs } from "./onnx-inputs.ts";
import { filePrefix, withLowRank } from "./onnx-lora.ts";
import type { OnnxModules } from "./onnx-modules.ts";

/** A network of an ONNX file that predicts from a state, a time and perhaps a condition. */
export interface OnnxDenoiser {
  readonly file: OnnxModel;
  readonly inputs: DenoiserInputs;
  readonly modules: OnnxModules;
  /** Samples that one pass takes; undefined for any number. */
  readonly batch: number | undefined;
}

/** Throws ConfigError for a file whose states come in another number than its times. */
export function onnxDenoiser(file: OnnxModel, inputs: DenoiserInputs, modules: OnnxModules): OnnxDenoiser {
  const sizes = [inputs.state, inputs.condition].flatMap((input) => input?.shape?.[0] ?? []);
  const { time } = inputs;
  const oneTime = time.shape?.length === 0 || time.shape?.[0] === 1;
  const distinct = new Set(oneTime ? [...sizes, 1] : [...sizes, ...(time.shape?.[0] ? [time.shape[0]] : [])]);
  if (distinct.size > 1) {
    throw new ConfigError(
      `${file.name} takes batches of ${[...distinct].join(" and of ")}: every sample of a batch has a time of its own here. Export it with open batch axes, the time's too.`,
    );
  }
  return { file, inputs, modules, batch: [...distinct][0] };
}

/** The floats that a file stores, under its names. */
export function storedWeights({ constants, booleans }: OnnxModel): NamedArrays {
  const floats = [...constants].filter(([name, { dtype }]) => dtype === "float32" && !booleans.has(name));
  return Object.fromEntries(floats.map(([name, stored]) => [name, arrayOf(stored)]));
}

function arrayOf({ shape, data }: Tensor): NamedArray {
  if (data instanceof Float32Array) return { shape, data };
  if (data === undefined || data instanceof Int32Array) throw new TypeError("float constants hold floats");
  const file = data;
  return { shape, file, data: file.read() };
}

/**
 * Prediction for states x [B, C, H, W] at train times t [B] under a condition [B, …], of the shape of x. A network with twice as many
 * channels predicts a variance, too, in the second half; samplers here have fixed variances, so it is left out.
 */
export function predictWith(
  denoiser: OnnxDenoiser,
  params: Params,
  x: Tensor,
  t: Tensor,
  condition: Tensor | undefined,
): Tensor {
  const count = x.shape[0]!;
  const { file, modules, batch = count } = denoiser;
  if (count % batch !== 0) {
    throw new ShapeError(
      `${file.name} takes ${batch} samples at once, into which ${count} cannot be divided. Choose train.trajectories, train.block and train.accumulate that can, or export it with an open batch axis.`,
    );
  }
  const adapt = withLowRank(modules, params);
  const stored = {
    ...file,
    constants: new Map([...file.constants, ...Object.entries(withPrefix(params, filePrefix))]),
  };
  const parts = Array.from({ length: count / batch }, (_, k) => {
    const part = (values: Tensor) => (batch === count ? values : values.slice(0, k * batch, (k + 1) * batch));
    const given = feeds(denoiser.inputs, part(x), part(t), condition && part(condition));
    return importOnnx(stored, given, [denoiser.inputs.output], adapt)[denoiser.inputs.output]!;
  });
  return meanOf(parts.length === 1 ? parts[0]! : concat(parts, 0), x.shape, denoiser);
}

function feeds(
  inputs: DenoiserInputs,
  x: Tensor,
  t: Tensor,
  condition: Tensor | undefined,
): Readonly<Record<string, Tensor>> {
  const { state, time } = inputs;
  return {
    [state.name]: x,
    [time.name]: typed(time, time.shape?.length === 0 ? t.reshape([]) : t),
    ...(inputs.condition && { [inputs.condition.name]: typed(inputs.condition, condition!) }),
  };
}

/** Whole numbers where the file wants them: a Karras grid has times between the train times. */
const typed = ({ dtype }: OnnxInput, values: Tensor): Tensor =>
  dtype === "int32" ? values.add(0.5).cast("int32") : values;

function meanOf(y: Tensor, shape: Shape, { file, inputs }: OnnxDenoiser): Tensor {
  const [B, C, ...space] = shape as [number, number, ...number[]];
  const fits = (channels: number) => String(y.shape) === String([B, channels, ...space]);
  if (y.dtype === "float32" && fits(C)) return y;
  if (y.dtype === "float32" && fits(2 * C)) return y.slice(1, 0, C);
  throw new ConfigError(
    `model.output: a prediction has the shape of the states, ${showShape(shape)}, or twice its channels, but "${inputs.output}" of ${file.name} is ${y.dtype} ${showShape(y.shape)}. Name another output, or export the network in a module that returns one.`,
  );
}
