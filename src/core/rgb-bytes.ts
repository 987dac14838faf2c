/** A picture [3, …plane] in [0, 1] as 8-bit RGB, channels interleaved; values outside are clipped. */
export function rgbBytes(image: Float32Array): Uint8Array {
  const plane = image.length / 3;
  const data = new Uint8Array(image.length);
  for (let p = 0; p < plane; p++)
    for (let c = 0; c < 3; c++) data[3 * p + c] = Math.round(255 * Math.min(1, Math.max(0, image[c * plane + p]!)));
  return data;
}
