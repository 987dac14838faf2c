import { ConfigError } from "../core/errors.ts";
import { neededPart, type OnnxInput, type OnnxModel, showAxes } from "../onnx/index.ts";

export type Role = "state" | "time" | "condition";

/** Which input of a file is what, and the output that is the prediction. */
export interface DenoiserInputs {
  readonly state: OnnxInput;
  readonly time: OnnxInput;
  readonly condition: OnnxInput | undefined;
  readonly output: string;
}

export interface NamedInputs {
  readonly inputs: Readonly<Partial<Record<Role, string | undefined>>>;
  readonly output: string | undefined;
  /** What kind of value the condition is; undefined for none. */
  readonly condition: "classes" | "text" | "none";
}

/** Names that diffusers' networks, and most others, give their inputs. */
const usual: Record<Role, readonly string[]> = {
  state: ["sample", "latent_model_input", "x", "x_t"],
  time: ["timestep", "timesteps", "t", "time"],
  condition: ["encoder_hidden_states", "class_labels", "class_label", "y", "context"],
};

const isFloat = ({ dtype, type }: OnnxInput) => dtype === "float32" && type !== "BOOL";
const axes = ({ shape }: OnnxInput) => shape?.length;

/**
 * Finds the inputs of a denoiser: those that are named, else those with a usual name, else the only one of a fitting form: a state
 * has 4 axes, a time none or one, a text 3, classes one. Throws ConfigError when a choice is open or an input is left over.
 */
export function denoiserInputs(model: OnnxModel, named: NamedInputs): DenoiserInputs {
  const output = outputOf(model, named.output);
  const { inputs } = neededPart(model, [output]);
  const all = inputs.map(
    (input) => `${input.name} (${input.type} ${input.shape ? showAxes(input.shape) : "of any shape"})`,
  );
  const forms: Record<Role, (input: OnnxInput) => boolean> = {
    state: (input) => isFloat(input) && (axes(input) ?? 4) === 4,
    time: (input) => input.dtype !== undefined && (axes(input) ?? 1) <= 1,
    condition: (input) =>
      named.condition === "text"
        ? isFloat(input) && (axes(input) ?? 3) === 3
        : input.dtype !== undefined && (axes(input) ?? 1) === 1,
  };
  const taken = new Set<OnnxInput>();
  const choose = (role: Role): OnnxInput => {
    const name = named.inputs[role];
    const free = inputs.filter((input) => !taken.has(input) && forms[role](input));
    const byName = free.filter((input) => usual[role].includes(input.name));
    const found =
      name === undefined
        ? byName.length === 1
          ? byName
          : free
        : inputs.filter((input) => input.name === name && forms[role](input));
    if (found.length !== 1) {
      throw new ConfigError(
        `model.inputs.${role}: ${name === undefined ? `${found.length} inputs of ${model.name} could be the ${role}` : `${model.name} has no input "${name}" that can be the ${role}`}. ${wanted(role, named)} Inputs: ${all.join(", ")}.`,
      );
    }
    taken.add(found[0]!);
    return found[0]!;
  };
  const state = choose("state");
  const time = choose("time");
  const condition = named.condition === "none" ? undefined : choose("condition");
  const left = inputs.filter((input) => !taken.has(input));
  if (left.length > 0) {
    throw new ConfigError(
      `${model.name} also needs ${left.map(({ name }) => `"${name}"`).join(", ")}, which nothing gives it. ${named.condition === "none" ? "If that is the condition, say what prompts become with model.condition (classes or text); otherwise export" : "Export"} the network in a module that sets it. Inputs: ${all.join(", ")}.`,
    );
  }
  return { state, time, condition, output };
}

/** What an input of a role must be, and what to do. */
function wanted(role: Role, { condition }: NamedInputs): string {
  if (role === "state") return "Give the name of the input of floats [B, C, H, W].";
  if (role === "time") return "Give the name of the input that is one number or one per sample, [B].";
  return condition === "text"
    ? "Give the name of the input of floats [B, L, D]."
    : "Give the name of the input [B] of class numbers.";
}

function outputOf(model: OnnxModel, given: string | undefined): string {
  const listed = model.outputs.join(", ");
  if (given === undefined && model.outputs.length > 1)
    throw new ConfigError(`model.output: ${model.name} has several outputs; give one of ${listed}.`);
  if (given !== undefined && !model.outputs.includes(given))
    throw new ConfigError(`model.output: ${model.name} has no output "${given}". It has ${listed}.`);
  return given ?? model.outputs[0]!;
}
