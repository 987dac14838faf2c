import { BACKGROUNDS } from "./backgrounds.ts";
import { CELL, type Picture } from "./pictures.ts";

/** How much an augmented picture may differ from the drawing. Shares are in [0, 1]; each draw is uniform in its range. */
export interface Augmentation {
  /** Probability of a mirrored picture. */
  flipShare: number;
  /** Longest side of the drawing, as a share of the longest that fits (30 of 32 pixels). */
  minScale: number;
  maxScale: number;
  /** Shift of the centre, as a share of the free room on each side. */
  shift: number;
  maxRotationDeg: number;
  maxHueDeg: number;
  /** Largest relative change of colourfulness and of brightness. */
  saturation: number;
  brightness: number;
  /** Probability of a white background, where white stands out from the drawing. */
  whiteShare: number;
  /** Least mean OKLab distance between the background and the rim of the drawing. */
  minContrast: number;
}

export const defaultAugmentation: Augmentation = {
  flipShare: 0.5,
  minScale: 0.75,
  maxScale: 1,
  shift: 1,
  maxRotationDeg: 8,
  maxHueDeg: 12,
  saturation: 0.15,
  brightness: 0.08,
  whiteShare: 0.3,
  minContrast: 0.12,
};

export const SIDE = 32; // pixels of an augmented picture
/** Uniforms that one augmentation uses. */
export const AUGMENT_UNIFORMS = 10;

/**
 * Draws one augmented picture as [3, 32, 32] in [0, 1] into `out` at `offset`; returns the index of its background.
 * `u`: AUGMENT_UNIFORMS numbers in (0, 1), the only source of chance.
 */
export function augment(
  picture: Picture,
  u: ArrayLike<number>,
  out: Float32Array,
  offset: number,
  options: Augmentation = defaultAugmentation,
): number {
  const background = chooseBackground(picture, u[8]!, u[9]!, options);
  drawOn(picture, u, { rgb: BACKGROUNDS[background]!.rgb, slopeX: 0, slopeY: 0 }, out, offset, options);
  return background;
}

/** A colour, and how much brighter the right (lower) edge is than the left (upper) one, as a share of it. */
export interface Ground {
  rgb: readonly [number, number, number];
  slopeX: number;
  slopeY: number;
}

/** `augment` on a given ground; `u` needs no more than 8 numbers. */
export function drawOn(
  picture: Picture,
  u: ArrayLike<number>,
  { rgb: [red, green, blue], slopeX, slopeY }: Ground,
  out: Float32Array,
  offset: number,
  options: Augmentation,
): void {
  const m = colourMatrix(
    signed(u[5]!) * options.maxHueDeg * (Math.PI / 180),
    1 + signed(u[6]!) * options.saturation,
    1 + signed(u[7]!) * options.brightness,
  );
  const [m0, m1, m2, m3, m4, m5, m6, m7, m8] = m;

  // Output pixel centre p → cell position: q = 32 + (2 / scale) · Flip · Rotate(-angle) · (p - 16 - shift)
  const scale = options.minScale + u[1]! * (options.maxScale - options.minScale);
  const room = (SIDE - scale * LARGEST) / 2;
  const centreX = SIDE / 2 + signed(u[2]!) * options.shift * room;
  const centreY = SIDE / 2 + signed(u[3]!) * options.shift * room;
  const angle = signed(u[4]!) * options.maxRotationDeg * (Math.PI / 180);
  const flip = u[0]! < options.flipShare ? -1 : 1;
  const cos = (Math.cos(angle) * (CELL / SIDE)) / scale;
  const sin = (Math.sin(angle) * (CELL / SIDE)) / scale;

  const { filtered } = picture;
  const area = SIDE * SIDE;
  for (let y = 0; y < SIDE; y++) {
    const fromCentreY = y + 0.5 - centreY;
    for (let x = 0; x < SIDE; x++) {
      const fromCentreX = x + 0.5 - centreX;
      // entry (i, j) of `filtered` is centred on cell position (i + 1, j + 1)
      const atX = CELL / 2 - 1 + flip * (cos * fromCentreX + sin * fromCentreY);
      const atY = CELL / 2 - 1 - sin * fromCentreX + cos * fromCentreY;
      const to = offset + y * SIDE + x;
      const left = Math.floor(atX);
      const top = Math.floor(atY);
      let r = 0;
      let g = 0;
      let b = 0;
      let alpha = 0;
      if (left >= 0 && top >= 0 && left < CELL - 1 && top < CELL - 1) {
        const right = atX - left;
        const bottom = atY - top;
        const w00 = (1 - right) * (1 - bottom);
        const w10 = right * (1 - bottom);
        const w01 = (1 - right) * bottom;
        const w11 = right * bottom;
        const i = (top * CELL + left) * 4;
        const j = i + CELL * 4;
        r = w00 * filtered[i]! + w10 * filtered[i + 4]! + w01 * filtered[j]! + w11 * filtered[j + 4]!;
        g = w00 * filtered[i + 1]! + w10 * filtered[i + 5]! + w01 * filtered[j + 1]! + w11 * filtered[j + 5]!;
        b = w00 * filtered[i + 2]! + w10 * filtered[i + 6]! + w01 * filtered[j + 2]! + w11 * filtered[j + 6]!;
        alpha = w00 * filtered[i + 3]! + w10 * filtered[i + 7]! + w01 * filtered[j + 3]! + w11 * filtered[j + 7]!;
      }
      // The colour matrix is linear, so it may act on premultiplied colours, which are in [0, alpha].
      const through = 1 - alpha;
      const light = 1 + slopeX * ((x + 0.5) / SIDE - 0.5) + slopeY * ((y + 0.5) / SIDE - 0.5);
      out[to] = clip(m0 * r + m1 * g + m2 * b, alpha) + through * Math.min(1, light * red);
      out[to + area] = clip(m3 * r + m4 * g + m5 * b, alpha) + through * Math.min(1, light * green);
      out[to + 2 * area] = clip(m6 * r + m7 * g + m8 * b, alpha) + through * Math.min(1, light * blue);
    }
  }
}

const LARGEST = 30; // longest side of a drawing at scale 1, in output pixels: 60 of 64 in its cell

/** Index of a background that stands out from the drawing; `white` and `pick` are in (0, 1). */
export function chooseBackground(picture: Picture, white: number, pick: number, options: Augmentation): number {
  const { contrast } = picture;
  if (white < options.whiteShare && contrast[0]! >= options.minContrast) return 0;
  let allowed = 0;
  let best = 0;
  for (let i = 0; i < contrast.length; i++) {
    if (contrast[i]! > contrast[best]!) best = i;
    if (i > 0 && contrast[i]! >= options.minContrast) allowed++;
  }
  let skip = Math.floor(pick * allowed);
  for (let i = 1; i < contrast.length; i++) {
    if (contrast[i]! >= options.minContrast && skip-- === 0) return i;
  }
  return best; // no colour reaches minContrast
}

type Matrix3 = [number, number, number, number, number, number, number, number, number];

/**
 * brightness · (L + saturation · (cos(hue) (I - L) + sin(hue) N)), the luma-preserving hue rotation and saturation of
 * SVG's feColorMatrix: L has the luma weights in each row, N turns colour by a right angle [W3C Filter Effects, §9.6].
 */
function colourMatrix(hue: number, saturation: number, brightness: number): Matrix3 {
  const c = brightness * saturation * Math.cos(hue);
  const s = brightness * saturation * Math.sin(hue);
  const d = brightness - c;
  return [
    0.213 * d + c - 0.213 * s,
    0.715 * d - 0.715 * s,
    0.072 * d + 0.928 * s,
    0.213 * d + 0.143 * s,
    0.715 * d + c + 0.14 * s,
    0.072 * d - 0.283 * s,
    0.213 * d - 0.787 * s,
    0.715 * d + 0.715 * s,
    0.072 * d + c + 0.072 * s,
  ];
}

function clip(value: number, max: number): number {
  return value < 0 ? 0 : Math.min(value, max);
}

/** (0, 1) → (-1, 1). */
function signed(u: number): number {
  return 2 * u - 1;
}
