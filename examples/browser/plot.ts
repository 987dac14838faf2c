// A canvas with coordinates. Colours are the custom properties of style.css, so that they follow light and dark.

export type Range = readonly [low: number, high: number];

export interface Plot {
  clear(): void;
  points(xy: ArrayLike<number>, colour: string, radius: number): void;
  line(
    xs: ArrayLike<number>,
    ys: ArrayLike<number>,
    colour: string,
    style?: { dashed?: boolean; width?: number },
  ): void;
  circle(x: number, y: number, radius: number, colour: string): void;
  text(words: string, x: number, y: number, align?: CanvasTextAlign): void;
  /** A picture over the whole plot, row by row from the top, one colour [r, g, b, a] for each value. */
  picture(values: Float32Array, side: number, colourOf: (value: number) => readonly number[]): void;
}

/** Draws on a canvas as large as the page shows it; x to the right, y upwards. */
export function plotOn(canvas: HTMLCanvasElement, x: Range, y: Range): Plot {
  const pixels = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = width * pixels;
  canvas.height = height * pixels;
  const context = canvas.getContext("2d")!;
  context.scale(pixels, pixels);
  const right = (value: number) => ((value - x[0]) / (x[1] - x[0])) * width;
  const down = (value: number) => (1 - (value - y[0]) / (y[1] - y[0])) * height;
  const colourNamed = (name: string) => {
    canvas.style.color = `var(--${name})`;
    return getComputedStyle(canvas).color;
  };

  return {
    clear: () => context.clearRect(0, 0, width, height),
    points(xy, colour, radius) {
      context.fillStyle = colourNamed(colour);
      for (let k = 0; k < xy.length; k += 2) {
        context.beginPath();
        context.arc(right(xy[k]!), down(xy[k + 1]!), radius, 0, 2 * Math.PI);
        context.fill();
      }
    },
    line(xs, ys, colour, { dashed = false, width: thickness = 2 } = {}) {
      context.strokeStyle = colourNamed(colour);
      context.lineWidth = thickness;
      context.setLineDash(dashed ? [5, 5] : []);
      context.beginPath();
      for (let k = 0; k < xs.length; k++) context.lineTo(right(xs[k]!), down(ys[k]!));
      context.stroke();
    },
    circle(cx, cy, radius, colour) {
      context.strokeStyle = colourNamed(colour);
      context.lineWidth = 1.5;
      context.setLineDash([]);
      context.beginPath();
      context.arc(right(cx), down(cy), (radius / (x[1] - x[0])) * width, 0, 2 * Math.PI);
      context.stroke();
    },
    text(words, tx, ty, align = "left") {
      context.fillStyle = colourNamed("muted");
      context.font = "13px system-ui, sans-serif";
      context.textAlign = align;
      context.fillText(words, right(tx), down(ty));
    },
    picture(values, side, colourOf) {
      const small = new OffscreenCanvas(side, side);
      const rgba = Uint8ClampedArray.from([...values].flatMap((value) => [...colourOf(value)]));
      small.getContext("2d")!.putImageData(new ImageData(rgba, side, side), 0, 0);
      context.imageSmoothingEnabled = true;
      context.drawImage(small, 0, 0, width, height);
    },
  };
}
