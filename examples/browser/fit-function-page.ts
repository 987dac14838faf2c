import { type Fit, fitFunction, grid, truth } from "./fit-function.ts";
import { element, whenStarted } from "./page.ts";
import { plotOn } from "./plot.ts";

const POINTS = 81;
const xs = grid(POINTS);
const scales = [1, 2, 4];
const plots = ["y", "dy", "ddy"].map((id, k) =>
  plotOn(element<HTMLCanvasElement>(id), [-2, 2], [-1.4 * scales[k]!, 1.4 * scales[k]!]),
);

function draw(curves?: Fit["curves"]): void {
  for (const [k, plot] of plots.entries()) {
    plot.clear();
    plot.line([-2, 2], [0, 0], "grid", { width: 1 });
    plot.line(xs, xs.map(truth[k]!), "truth", { dashed: true });
    if (curves) plot.line(xs, curves[k]!, "fit", { width: 2.5 });
  }
}
draw();

whenStarted(async ({ runtime, updates, signal, tell, breathe }) => {
  for await (const { update, loss, curves } of fitFunction(runtime, { updates, every: 20, points: POINTS })) {
    draw(curves);
    tell(`Update ${update} of ${updates}: mean squared error ${loss.toExponential(1)}`);
    await breathe();
    if (signal.aborted) break;
  }
});
