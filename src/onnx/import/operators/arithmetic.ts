import { type Tensor, where } from "../../../tensor/index.ts";
import { isKnown, numbersOf } from "../fold.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";
import { dtypeOf, typeName } from "../tensor-proto.ts";

const binary =
  (f: (a: Tensor, b: Tensor) => Tensor): Translation =>
  (node) =>
    f(node.x(0), node.x(1));

/** f over any number of operands. */
const variadic =
  (f: (a: Tensor, b: Tensor) => Tensor): Translation =>
  (node) =>
    node.operands.slice(1).reduce(f, node.x(0));

const sum = (node: OnnxNode): Tensor => node.operands.slice(1).reduce((a, b) => a.add(b), node.x(0));

/** The quotient; of whole numbers it is cut towards zero. */
function div(a: Tensor, b: Tensor): Tensor {
  if (a.dtype === "float32") return a.div(b);
  return a.cast("float32").div(b.cast("float32")).cast("int32");
}

/** a − b·⌊a/b⌋, or with fmod = 1 the remainder of the division that cuts towards zero. */
const mod: Translation = (node) => {
  const [a, b] = [node.x(0).cast("float32"), node.x(1).cast("float32")];
  const quotient = a.div(b);
  const whole = node.flag("fmod") ? quotient.abs().floor().mul(quotient.sign()) : quotient.floor();
  return a.sub(b.mul(whole)).cast(node.x(0).dtype);
};

/** x^p for one constant p, or b^y for constant b > 0. */
const pow: Translation = (node) => {
  const [x, p] = [node.x(0), node.x(1)];
  const power = (base: Tensor): Tensor => {
    const exponents = isKnown(p) ? numbersOf(p) : [];
    const [first] = exponents;
    const broadcasts = p.rank <= x.rank && p.shape.every((d, i) => d === 1 || d === x.shape[x.rank - p.rank + i]);
    if (first !== undefined && broadcasts && exponents.every((e) => e === first)) {
      if (first === 2) return base.square();
      return first === 0.5 ? base.sqrt() : base.pow(first);
    }
    if (isKnown(x) && numbersOf(x).every((b) => b > 0)) return base.pow(p.cast("float32"));
    return node.fail(
      "x^p is translated for one constant exponent p, or for constant positive x. Here both depend on the input, where x^p has no derivative for negative x.",
    );
  };
  const y = power(x.cast("float32"));
  return x.dtype === "float32" ? y : y.round().cast(x.dtype); // e^(y log b) of whole numbers is whole but for rounding
};

const cast = (node: OnnxNode, x: Tensor, type: number): Tensor => {
  if (type === 9) return x.notEqual(0); // a boolean is a mask of 0 and 1
  return x.cast(
    dtypeOf(type) ?? node.fail(`casts go to floats, integers or booleans, but ${typeName(type)} is wanted.`),
  );
};

/** Operators of two or more operands that broadcast, masks among them: booleans are 0 and 1 as float32. */
export const arithmetic: Translations = {
  Add: binary((a, b) => a.add(b)),
  Sub: binary((a, b) => a.sub(b)),
  Mul: binary((a, b) => a.mul(b)),
  Div: binary(div),
  Mod: mod,
  Pow: pow,
  Sum: sum,
  Mean: (node) => sum(node).mul(1 / node.operands.length),
  Max: variadic((a, b) => a.maximum(b)),
  Min: variadic((a, b) => a.minimum(b)),
  Equal: binary((a, b) => a.equal(b)),
  Greater: binary((a, b) => a.greater(b)),
  GreaterOrEqual: binary((a, b) => a.greaterEqual(b)),
  Less: binary((a, b) => a.less(b)),
  LessOrEqual: binary((a, b) => a.lessEqual(b)),
  Not: (node) => node.x(0).neg().add(1),
  IsNaN: (node) => node.x(0).notEqual(node.x(0)),
  And: binary((a, b) => a.mul(b)),
  Or: binary((a, b) => a.maximum(b)),
  Xor: binary((a, b) => a.notEqual(b)),
  Where: (node) => where(node.x(0), node.x(1), node.x(2)),
  Cast: (node) => cast(node, node.x(0), node.int("to", 0)),
  CastLike: (node) => node.x(0).cast(node.x(1).dtype),
};
