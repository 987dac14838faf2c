import sharp from "sharp";
import { expect, test } from "vitest";
import { NonFiniteError, ShapeError } from "../src/core/errors.ts";
import { Rng } from "../src/core/rng.ts";
import { jpegSize } from "../src/rewards/index.ts";
import { resolveConfig } from "../src/train/config.ts";

const [H, W] = [24, 32];
const size = 3 * H * W;

/** A flat picture, then one of noise; [2, 3, H, W]. */
function flatAndNoise(): Float32Array {
  const images = new Float32Array(2 * size).fill(0.5);
  new Rng(3).fillNormal(images, size, size, { purpose: "rollout", sample: 0, step: 0 });
  return images;
}

async function score(options: Parameters<typeof jpegSize>[0], images: Float32Array, shape = [2, 3, H, W]) {
  const reward = await jpegSize(options).load();
  if (reward.differentiable) throw new Error("runs on the host");
  return reward.score({ images, shape, prompts: new Array<string>(shape[0]!).fill("a cat") });
}

/** Bytes of the encoder's own output for one picture [3, H, W]. */
async function encodedBytes(image: Float32Array, quality: number): Promise<number> {
  const data = new Uint8ClampedArray(size);
  for (let p = 0; p < H * W; p++) for (let c = 0; c < 3; c++) data[3 * p + c] = Math.round(255 * image[c * H * W + p]!);
  return (
    await sharp(data, { raw: { width: W, height: H, channels: 3 } })
      .jpeg({ quality })
      .toBuffer()
  ).length;
}

test.each([95, 40])("r = −bytes/1000 of the encoder's own output at quality %d", async (quality) => {
  const images = flatAndNoise();
  const bytes = [
    await encodedBytes(images.subarray(0, size), quality),
    await encodedBytes(images.subarray(size), quality),
  ];
  expect(await score({ quality }, images)).toEqual(Float32Array.from(bytes, (count) => -count / 1000));
});

test("a flat picture is more compressible than noise, and the other sign is the other way round", async () => {
  const [flat, noise] = await score({}, flatAndNoise());
  expect(flat).toBeGreaterThan(noise!);
  expect(noise).toBeLessThan(0);
  expect(await score({ sign: "incompressible" }, flatAndNoise())).toEqual(Float32Array.of(-flat!, -noise!));
});

test("quality is 95 unless given, less of it makes smaller files, and the same picture has the same score", async () => {
  const usual = await score({}, flatAndNoise());
  expect(await score({}, flatAndNoise())).toEqual(usual);
  expect(await score({ quality: 95 }, flatAndNoise())).toEqual(usual);
  expect((await score({ quality: 40 }, flatAndNoise()))[1]).toBeGreaterThan(usual[1]!);
  const images = flatAndNoise();
  const swapped = Float32Array.of(...images.subarray(size), ...images.subarray(0, size));
  expect(await score({}, swapped)).toEqual(usual.toReversed());
});

test("points of an exact world and pixels that are no numbers are refused", async () => {
  await expect(score({}, new Float32Array(4), [2, 2])).rejects.toThrow(ShapeError);
  await expect(score({}, new Float32Array(5), [2, 3, H, W])).rejects.toThrow(ShapeError);
  await expect(score({}, flatAndNoise().fill(Number.NaN, size + 4, size + 5))).rejects.toThrow(NonFiniteError);
  await expect(score({}, flatAndNoise().fill(Number.NaN, size + 4, size + 5))).rejects.toThrow(/picture 1/);
});

test("a configuration takes it by name, with objectives that need no gradient", () => {
  const file = { model: { kind: "diffusers", path: "nowhere" }, prompts: ["a cat"], train: { accumulate: 1 } };
  const config = (kind: string) =>
    resolveConfig({ file: { ...file, reward: { kind: "jpeg-size" }, objective: { kind } }, source: "test" });
  expect(config("ddpo").reward).toEqual({ kind: "jpeg-size", quality: 95, sign: "compressible" });
  expect(() => config("residual-nabla-db")).toThrow(/"jpeg-size" runs on the host/);
});
