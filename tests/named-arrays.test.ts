import { expect, test } from "vitest";
import { cloneArrays, countParameters, withPrefix } from "../src/core/named-arrays.ts";

const arrays = {
  "unet.conv.weight": { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
  "unet.conv.bias": { shape: [], data: Float32Array.of(7) },
  "text.weight": { shape: [0], data: new Float32Array(0) },
};

test("parameters are the numbers of all arrays", () => {
  expect(countParameters(arrays)).toBe(7);
  expect(countParameters({})).toBe(0);
});

test("withPrefix keeps what lies under a prefix, by the rest of its name, sharing the values", () => {
  const unet = withPrefix(arrays, "unet.");
  expect(Object.keys(unet)).toEqual(["conv.weight", "conv.bias"]);
  expect(unet["conv.bias"]!.data).toBe(arrays["unet.conv.bias"].data);
});

test("a clone is equal and apart", () => {
  const clone = cloneArrays(arrays);
  expect(clone).toEqual(arrays);
  clone["unet.conv.bias"]!.data[0] = 0;
  expect(arrays["unet.conv.bias"].data[0]).toBe(7);
});
