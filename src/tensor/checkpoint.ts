import { dtypeOfFirst } from "./dtypes.ts";
import { cotangentsBetween, topologicalOrder } from "./gradient.ts";
import { defineOperator, type Emitter } from "./operator.ts";
import { emitCast } from "./ops/cast.ts";
import { apply, nextId, Tensor } from "./tensor.ts";

/**
 * The same function, whose intermediate values are not kept for the backward pass: they are computed again from its
 * arguments when the cotangent of its result is known. Memory falls by the intermediates, time rises by one more forward
 * pass through `fn`; value and derivatives of every order stay what they are.
 *
 * Only what depends on the arguments is computed again. What `fn` closes over (weights) is used as it is and kept, and
 * gradients flow to it; so pass activations as arguments. By a value made inside `fn` the result has no derivative.
 *
 * ONNX Runtime keeps as many buffers of each size as it needs at once at any time, so blocks of equal shapes gain most.
 */
export const checkpoint =
  <Xs extends readonly Tensor[]>(fn: (...xs: Xs) => Tensor) =>
  (...xs: Xs): Tensor => {
    const first = nextId();
    const y = fn(...xs);
    const args = new Set<Tensor>(xs.filter((x) => x instanceof Tensor)); // `map` passes its callback an index too
    const inner = dependents(y, args, first);
    if (!inner.has(y)) return y;
    const kept = new Set([...inner].flatMap((node) => node.inputs).filter((x) => !inner.has(x) && !args.has(x)));
    return apply("checkpoint", [y, ...args, ...kept], { args: args.size });
  };

/** The tensors that y is made from, itself included, which are not older than `first` and depend on any of `args`. */
function dependents(y: Tensor, args: ReadonlySet<Tensor>, first: number): Set<Tensor> {
  const found = new Set<Tensor>();
  for (const node of topologicalOrder([y], args)) {
    const depends = node.inputs.some((x) => args.has(x) || found.has(x));
    if (depends && node.id >= first && !args.has(node)) found.add(node);
  }
  return found;
}

/** y made again with other tensors in the place of some that it is made from; those must cut it off from all others. */
function remade(y: Tensor, instead: ReadonlyMap<Tensor, Tensor>): Tensor {
  const copies = new Map(instead);
  for (const node of topologicalOrder([y], new Set(instead.keys()))) {
    if (copies.has(node)) continue;
    const inputs = node.inputs.map((x) => copies.get(x)!);
    copies.set(node, new Tensor(node.op, inputs, node.attrs, node.shape, node.dtype, node.data));
  }
  return copies.get(y)!;
}

/*
 * y = f(args, kept) with its value first: inputs [y, ...args, ...kept], attrs.args says how many. The derivative goes past
 * y to args and kept, through a second f that starts from args that wait for the cotangent. And the cotangents of args
 * wait for those of kept, before they go on to what came earlier: otherwise ONNX Runtime may compute weight gradients last
 * of all, and what was computed again for each of them would stay until then.
 */
defineOperator({
  name: "checkpoint",
  dtype: dtypeOfFirst,
  shape: ([y]) => y!.shape,
  reference: ([y]) => y!.data,
  vjp({ inputs: [y, ...given], attrs }, v, [, ...wanted]) {
    const isArg = (k: number) => k < (attrs.args as number);
    const starts = given.map((x, k) => (isArg(k) && x.dtype !== "int32" ? defer(x, [v]) : x));
    const again = remade(y!, new Map(given.map((x, k) => [x, starts[k]!])));
    const asked = starts.filter((_, k) => wanted[k]);
    const cotangents = cotangentsBetween(again, v, asked, new Set(starts));
    const ofKept = starts.flatMap((x, k) => (isArg(k) ? [] : (cotangents.get(x) ?? [])));
    return [
      null,
      ...starts.map((x, k) => {
        const cotangent = cotangents.get(x) ?? null;
        return cotangent && isArg(k) && ofKept.length > 0 ? defer(cotangent, ofKept) : cotangent;
      }),
    ];
  },
  emit: (_, [y]) => y!,
  samples: () => [],
});

/**
 * The value of x, but not before the values `until` are known. Without it ONNX Runtime would take what is computed from x
 * again for what it has already, and keep the first.
 */
const defer = (x: Tensor, until: readonly Tensor[]): Tensor => apply("defer", [x, ...until]);

defineOperator({
  name: "defer",
  dtype: dtypeOfFirst,
  shape: ([x]) => x!.shape,
  reference: ([x]) => x!.data,
  vjp: ({ inputs }, c) => inputs.map((_, k) => (k === 0 ? c : null)),
  emit(e, [x, ...until], { inputs: [from, ...values] }) {
    const zero = zeroAfter(e, until, values);
    if (from!.dtype !== "float16") return e.node("Add", [x!, zero]);
    return emitCast(e, e.node("Add", [emitCast(e, x!, "float32"), zero]), "float16");
  },
  samples: () => [
    { inputs: [{ shape: [2, 3] }, { shape: [4] }] },
    { inputs: [{ shape: [] }, { shape: [2, 2] }, { shape: [] }, { shape: [3, 1] }] },
  ],
});

/**
 * 0 that is computed from the first element v₀ of each v: zero·Σ[v₀ > zero], which no infinity or NaN in v changes. There is
 * nothing to wait for where v is empty.
 */
function zeroAfter(e: Emitter, names: readonly string[], values: readonly Tensor[]): string {
  const firsts = names.flatMap((v, k) => {
    if (values[k]!.size === 0) return [];
    const first = e.node("Gather", [e.node("Reshape", [v, e.ints([values[k]!.size])]), e.ints([0])]);
    return values[k]!.dtype === "float32" ? first : emitCast(e, first, "float32");
  });
  if (firsts.length === 0) return e.zero();
  const joined = firsts.length === 1 ? firsts[0]! : e.node("Concat", firsts, { axis: 0 });
  const positive = emitCast(e, e.node("Greater", [joined, e.zero()]), "float32");
  return e.node("Mul", [e.zero(), e.node("ReduceSum", [positive, e.ints([0])], { keepdims: 0 })]);
}
