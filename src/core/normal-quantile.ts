// Everything here uses + − × ÷ √ in float64 only, which IEEE 754 fixes to the last bit; Math.log is not so fixed.

const LN2_HIGH = 0x162e42fef * 2 ** -33; // ln 2 rounded down to 33 bits: k · LN2_HIGH is exact for every exponent k
const LN2_LOW = 7.440617110012397e-11; // ln 2 − LN2_HIGH
const SQRT2_HIGH_WORD = 0x3ff6a09e; // upper 32 bits of sqrt(2)

// The two views share one float64: words[1] holds sign, exponent and 20 bits of the fraction (little-endian, as every
// platform of ONNX Runtime).
const float = new Float64Array(1);
const words = new Int32Array(float.buffer);

/** Natural logarithm of a positive, finite, normal float64, within 1 ulp and the same bits on every machine. */
export function logExact(x: number): number {
  // x = 2^k · (1 + f) with 1 + f in [1/√2, √2)
  float[0] = x;
  let k = (words[1]! >>> 20) - 1023;
  words[1] = (words[1]! & 0xfffff) | 0x3ff00000;
  if (words[1]! > SQRT2_HIGH_WORD) {
    words[1]! -= 1 << 20;
    k += 1;
  }
  const f = float[0]! - 1;
  // log(1 + f) = 2 atanh(s) = 2 (s + s³/3 + s⁵/5 + …), s = f / (2 + f), |s| ≤ 0.1716.
  // 2 s = f − s f, so log(1 + f) = f − s (f − tail), tail = 2 (s²/3 + s⁴/5 + …): f is exact and carries the result.
  // s f = f²/2 − s f²/2 keeps the rounding of s out of the second largest term.
  const s = f / (2 + f);
  const z = s * s;
  const tail =
    z *
    (2 / 3 +
      z *
        (2 / 5 +
          z *
            (2 / 7 +
              z *
                (2 / 9 +
                  z *
                    (2 / 11 +
                      z * (2 / 13 + z * (2 / 15 + z * (2 / 17 + z * (2 / 19 + z * (2 / 21 + (z * 2) / 23))))))))));
  const half = 0.5 * f * f;
  return k * LN2_HIGH - (half - (s * (half + tail) + k * LN2_LOW) - f);
}

/**
 * Quantile of the standard normal law at p in (0, 1): Algorithm AS 241, PPND16 [wichura1988as241], relative error
 * about 1e-16, its coefficients as the nearest float64. Where 1 − p is exact, normalQuantile(1 − p) = −normalQuantile(p)
 * to the bit.
 */
export function normalQuantile(p: number): number {
  const q = p - 0.5;
  if (q >= -0.425 && q <= 0.425) {
    const r = 0.180625 - q * q;
    return (
      (q *
        (((((((2509.0809287301227 * r + 33430.57558358813) * r + 67265.7709270087) * r + 45921.95393154987) * r +
          13731.69376550946) *
          r +
          1971.5909503065513) *
          r +
          133.14166789178438) *
          r +
          3.3871328727963665)) /
      (((((((5226.495278852854 * r + 28729.085735721943) * r + 39307.89580009271) * r + 21213.794301586597) * r +
        5394.196021424751) *
        r +
        687.1870074920579) *
        r +
        42.31333070160091) *
        r +
        1)
    );
  }
  const tail = tailQuantile(Math.sqrt(-logExact(q < 0 ? p : 1 - p)));
  return q < 0 ? -tail : tail;
}

/** |quantile| as a function of r = √(−log(tail probability)), for tail probabilities below 0.075. */
function tailQuantile(distance: number): number {
  if (distance <= 5) {
    const r = distance - 1.6;
    return (
      (((((((0.0007745450142783414 * r + 0.022723844989269184) * r + 0.2417807251774506) * r + 1.2704582524523684) * r +
        3.6478483247632045) *
        r +
        5.769497221460691) *
        r +
        4.630337846156546) *
        r +
        1.4234371107496835) /
      (((((((1.0507500716444169e-9 * r + 0.0005475938084995345) * r + 0.015198666563616457) * r + 0.14810397642748008) *
        r +
        0.6897673349851) *
        r +
        1.6763848301838038) *
        r +
        2.053191626637759) *
        r +
        1)
    );
  }
  const r = distance - 5;
  return (
    (((((((2.0103343992922881e-7 * r + 2.7115555687434876e-5) * r + 0.0012426609473880784) * r + 0.026532189526576124) *
      r +
      0.29656057182850487) *
      r +
      1.7848265399172913) *
      r +
      5.463784911164114) *
      r +
      6.657904643501103) /
    (((((((2.0442631033899397e-15 * r + 1.421511758316446e-7) * r + 1.8463183175100548e-5) * r +
      0.0007868691311456133) *
      r +
      0.014875361290850615) *
      r +
      0.1369298809227358) *
      r +
      0.599832206555888) *
      r +
      1)
  );
}
