import { defineOperator } from "../operator.ts";

/** x^p for a number p. */
defineOperator({
  name: "pow",
  shape: ([x]) => x!.shape,
  reference: ([x], attrs) => x!.data.map((t) => t ** (attrs.exponent as number)),
  // d x^p = p·x^(p−1) dx. The constant ends here, so that x = 0 does not meet 0·x^(−1).
  vjp({ inputs: [x], attrs }, v) {
    const p = attrs.exponent as number;
    if (p === 0) return [null];
    return [p === 1 ? v : v.mul(x!.pow(p - 1).mul(p))];
  },
  emit: (e, [x], { attrs }) => e.node("Pow", [x!, e.floats([attrs.exponent as number], [])]),
  samples: () => [
    { inputs: [{ shape: [2, 3] }], attrs: { exponent: 0 } },
    { inputs: [{ shape: [2, 3] }], attrs: { exponent: 1 } },
    { inputs: [{ shape: [2, 3] }], attrs: { exponent: 2 } },
    { inputs: [{ shape: [2, 3] }], attrs: { exponent: 3 } },
    { inputs: [{ shape: [2, 3], low: 0.5, high: 2 }], attrs: { exponent: -1.5 } },
  ],
});
