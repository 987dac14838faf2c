import { type Tensor, where } from "../../../tensor/index.ts";
import { isKnown } from "../fold.ts";
import type { Translation, Translations } from "../node.ts";

const unary =
  (f: (x: Tensor) => Tensor): Translation =>
  (node) =>
    f(node.x(0));

/** min(x, 0) */
const negativePart = (x: Tensor) => x.neg().relu().neg();

/** x for x > 0, else α(eˣ − 1); the exponent of the branch that is not taken stays finite. */
const elu = (x: Tensor, alpha: number) => where(x.greater(0), x, negativePart(x).exp().sub(1).mul(alpha));

/** max(0, min(1, αx + β)) */
const hardSigmoid = (x: Tensor, alpha: number, beta: number) => x.mul(alpha).add(beta).clip(0, 1);

/** x·σ(αx) */
function swish(x: Tensor, alpha: number): Tensor {
  if (alpha === 1) return x.silu();
  return alpha === Math.fround(1.702) ? x.quickGelu() : x.mul(x.mul(alpha).sigmoid());
}

const gelu: Translation = (node) =>
  node.word("approximate", "none", ["none", "tanh"]) === "tanh" ? node.x(0).geluTanh() : node.x(0).gelu();

/** min(max(x, low), high); the bounds are attributes before opset 11 and operands since. */
const clip: Translation = (node) => {
  const x = node.x(0);
  const bound = (k: number, name: string): number | Tensor | undefined => {
    if (node.opset < 11) return node.has(name) ? node.float(name, 0) : undefined;
    const given = node.optional(k);
    return given && isKnown(given) ? node.knownNumber(k) : given;
  };
  const [low, high] = [bound(1, "min"), bound(2, "max")];
  if (typeof low === "number" && typeof high === "number" && low <= high && x.dtype === "float32")
    return x.clip(low, high);
  const raised = low === undefined ? x : x.maximum(low);
  return high === undefined ? raised : raised.minimum(high);
};

/** Nothing is dropped outside of training. */
const dropout: Translation = (node) => {
  if (node.known(2)?.[0])
    node.fail("training_mode must be false: a reward has no dropout. Export the model for inference.");
  return node.x(0);
};

const selu: Translation = (node) =>
  elu(node.x(0), node.float("alpha", 1.6732632423543772)).mul(node.float("gamma", 1.0507009873554805));

/** Functions of single numbers. */
export const activations: Translations = {
  Identity: unary((x) => x),
  Relu: unary((x) => x.relu()),
  Sigmoid: unary((x) => x.sigmoid()),
  Tanh: unary((x) => x.tanh()),
  Erf: unary((x) => x.erf()),
  Exp: unary((x) => x.exp()),
  Log: unary((x) => x.log()),
  Sqrt: unary((x) => x.sqrt()),
  Neg: unary((x) => x.neg()),
  Abs: unary((x) => (x.dtype === "float32" ? x.abs() : x.maximum(x.neg()))),
  Reciprocal: unary((x) => x.pow(-1)),
  Sign: unary((x) => x.sign()),
  Floor: unary((x) => x.floor()),
  Ceil: unary((x) => x.ceil()),
  Round: unary((x) => x.round()),
  Sin: unary((x) => x.sin()),
  Cos: unary((x) => x.cos()),
  Softplus: unary((x) => x.softplus()),
  Softsign: unary((x) => x.div(x.abs().add(1))),
  Mish: unary((x) => x.mish()),
  HardSwish: unary((x) => x.mul(hardSigmoid(x, 1 / 6, 0.5))),
  HardSigmoid: (node) => hardSigmoid(node.x(0), node.float("alpha", 0.2), node.float("beta", 0.5)),
  LeakyRelu: (node) =>
    node
      .x(0)
      .relu()
      .add(negativePart(node.x(0)).mul(node.float("alpha", 0.01))),
  PRelu: (node) =>
    node
      .x(0)
      .relu()
      .add(negativePart(node.x(0)).mul(node.x(1))),
  Elu: (node) => elu(node.x(0), node.float("alpha", 1)),
  Selu: selu,
  Gelu: gelu,
  Clip: clip,
  Dropout: dropout,
};

export const microsoftActivations: Translations = {
  Gelu: unary((x) => x.gelu()),
  QuickGelu: (node) => swish(node.x(0), node.float("alpha", Math.fround(1.702))),
};
