import { arithmeticDtype } from "../dtypes.ts";
import { roundToEven } from "../float16.ts";
import { defineOperator, type Emitter, type OperatorNode } from "../operator.ts";
import { apply, type Tensor } from "../tensor.ts";
import { emitSine } from "./sine.ts";

/** Inputs of the contract tests. */
interface Range {
  low?: number;
  high?: number;
  avoid?: number;
  spaced?: number;
}

function defineUnary(
  name: string,
  f: (x: number) => number,
  derivative: (node: OperatorNode) => Tensor,
  emit: string | ((e: Emitter, x: string) => string),
  range: Range = {},
): void {
  defineOperator({
    name,
    shape: ([x]) => x!.shape,
    reference: ([x]) => x!.data.map(f),
    vjp: (node, v) => [v.mul(derivative(node))],
    emit: (e, [x]) => (typeof emit === "string" ? e.node(emit, [x!]) : emit(e, x!)),
    samples: () => [{ inputs: [{ shape: [2, 3, 4], ...range }] }, { inputs: [{ shape: [], ...range }] }],
  });
}

const x = (n: OperatorNode) => n.inputs[0]!;
const y = (n: OperatorNode) => n.output;
const sigmoid = (t: number) => (t >= 0 ? 1 / (1 + Math.exp(-t)) : Math.exp(t) / (1 + Math.exp(t)));

/** erf(t): Maclaurin series for |t| < 2.5, continued fraction of erfc beyond (both to about 1e-15). */
export function erf(t: number): number {
  const u = Math.abs(t);
  if (u < 2.5) {
    let term = u;
    let sum = u;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 100; n++) {
      term *= (-u * u) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(t) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let tail = 0;
  for (let k = 60; k >= 1; k--) tail = k / 2 / (u + tail); // erfc(u) = e^{-u²}/√π · 1/(u + ½/(u + 1/(u + …)))
  return Math.sign(t) * (1 - Math.exp(-u * u) / Math.sqrt(Math.PI) / (u + tail));
}

// The vjp multiplies the cotangent by the derivative written here.
defineOperator({
  name: "neg",
  dtype: (inputs) => arithmeticDtype("neg", inputs),
  shape: ([t]) => t!.shape,
  reference: ([t]) => t!.data.map((v) => -v),
  vjp: (_, v) => [v.neg()],
  emit: (e, inputs) => e.node("Neg", inputs),
  samples: () => [{ inputs: [{ shape: [2, 3] }] }, { inputs: [{ shape: [2, 3], integers: 9 }] }],
});
defineUnary("abs", Math.abs, (n) => x(n).sign(), "Abs", { avoid: 0.1 });
defineUnary("exp", Math.exp, (n) => y(n), "Exp"); // d exp(x) = exp(x) dx
defineUnary(
  "log",
  Math.log,
  (n) => apply("div", [1, x(n)]), // d log(x) = dx / x
  "Log",
  { low: 0.3, high: 3 },
);
defineUnary(
  "sqrt",
  Math.sqrt,
  (n) => apply("div", [0.5, y(n)]), // d √x = dx / (2√x)
  "Sqrt",
  { low: 0.3, high: 3 },
);
defineUnary(
  "sin",
  Math.sin,
  (n) => x(n).cos(),
  (e, input) => (e.has("Sin") ? e.node("Sin", [input]) : emitSine(e, input, "sin")),
);
defineUnary(
  "cos",
  Math.cos,
  (n) => x(n).sin().neg(),
  (e, input) => (e.has("Cos") ? e.node("Cos", [input]) : emitSine(e, input, "cos")),
);
defineUnary("tanh", Math.tanh, (n) => y(n).square().neg().add(1), "Tanh"); // 1 − tanh²
defineUnary("sigmoid", sigmoid, (n) => y(n).mul(y(n).neg().add(1)), "Sigmoid"); // σ(1 − σ)
defineUnary(
  "erf",
  erf,
  (n) =>
    x(n)
      .square()
      .neg()
      .exp()
      .mul(2 / Math.sqrt(Math.PI)), // 2/√π e^{−x²}
  "Erf",
);
defineUnary(
  "relu",
  (t) => Math.max(t, 0),
  (n) => x(n).greater(0),
  "Relu",
  { avoid: 0.1 },
);
// log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)
defineUnary(
  "softplus",
  (t) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t))),
  (n) => x(n).sigmoid(),
  "Softplus",
);

/** Constant between jumps: the derivative is zero. The samples stay away from integers and halves. */
function defineStep(name: string, onnx: string, f: (x: number) => number): void {
  defineOperator({
    name,
    shape: ([t]) => t!.shape,
    reference: ([t]) => t!.data.map(f),
    vjp: () => [null],
    emit: (e, inputs) => e.node(onnx, inputs),
    samples: () => [{ inputs: [{ shape: [3, 4], low: -2.3, spaced: 0.5 }] }],
  });
}
defineStep("sign", "Sign", Math.sign);
defineStep("floor", "Floor", Math.floor);
defineStep("ceil", "Ceil", Math.ceil);
defineStep("round", "Round", roundToEven);

/** x·σ(αx), derivative s + αx·s(1 − s) with s = σ(αx). */
function defineSwish(name: string, alpha: number): void {
  defineUnary(
    name,
    (t) => t * sigmoid(alpha * t),
    (n) => {
      const scaled = alpha === 1 ? x(n) : x(n).mul(alpha);
      const s = scaled.sigmoid();
      // s + αx·s(1 − s) = s·(1 + αx − αx·s), with αx·s = α·output
      const t = alpha === 1 ? y(n) : y(n).mul(alpha);
      return scaled.sub(t).add(1).mul(s);
    },
    (e, input) => {
      if (e.has("QuickGelu")) {
        return e.node("QuickGelu", [input], { alpha: { float: alpha } }, { domain: "com.microsoft" });
      }
      const scaled = alpha === 1 ? input : e.node("Mul", [input, e.floats([alpha], [])]);
      return e.node("Mul", [input, e.node("Sigmoid", [scaled])]);
    },
  );
}
defineSwish("silu", 1);
defineSwish("quickGelu", 1.702);
