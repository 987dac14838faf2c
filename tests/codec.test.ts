import { expect, test } from "vitest";
import { Rng } from "../src/core/index.ts";
import { decodeLatents, encodeImages, encodeImagesHost, pixelUnshuffle } from "../src/models/codec.ts";
import { evaluate, input } from "../src/tensor/index.ts";
import { relativeError } from "./tolerances.ts";

const shape = [2, 3, 4, 6] as const;
const images = Float32Array.from(new Rng(1).uniform(2 * 3 * 4 * 6, { purpose: "test" }));

test("pixelUnshuffle has torch's order", () => {
  // torch.nn.functional.pixel_unshuffle(torch.arange(8.).reshape(1, 1, 2, 4), 2)
  const [y] = evaluate([pixelUnshuffle(input("x", [1, 1, 2, 4]))], { x: [0, 1, 2, 3, 4, 5, 6, 7] });
  expect([...y!]).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
});

test("decoding undoes encoding, and the host encodes as the graph does", () => {
  const latents = encodeImages(input("images", shape));
  expect(latents.shape).toEqual([2, 12, 2, 3]);
  const [encoded, decoded] = evaluate([latents, decodeLatents(latents)], { images });
  expect(relativeError(decoded!, images)).toBeLessThan(1e-12);
  expect(relativeError(encodeImagesHost(images, shape), encoded!)).toBeLessThan(1e-7);
});
