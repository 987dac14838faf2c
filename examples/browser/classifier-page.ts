import { type Progress, trainClassifier, unseen } from "./classifier.ts";
import { element, whenStarted } from "./page.ts";
import { plotOn } from "./plot.ts";

const SIDE = 60;
const plot = plotOn(element<HTMLCanvasElement>("map"), [-1.1, 1.1], [-1.1, 1.1]);
const ofLabel = (label: number) => unseen.points.filter((_, i) => unseen.labels[i >> 1] === label);

/** Blue for the first spiral, orange for the second, clear where the network does not know. */
const colourOf = (share: number) => [...(share > 0.5 ? [230, 126, 34] : [52, 120, 220]), 150 * Math.abs(2 * share - 1)];

function draw(map?: Progress["map"]): void {
  plot.clear();
  if (map) plot.picture(map, SIDE, colourOf);
  plot.points(ofLabel(0), "fit", 2.5);
  plot.points(ofLabel(1), "accent", 2.5);
}
draw();

whenStarted(async ({ runtime, updates, signal, tell, breathe }) => {
  for await (const { update, loss, accuracy, map } of trainClassifier(runtime, { updates, every: 20, side: SIDE })) {
    draw(map);
    tell(
      `Update ${update} of ${updates}: ${(100 * accuracy).toFixed(1)} % of the unseen points right, loss ${loss.toFixed(3)}`,
    );
    await breathe();
    if (signal.aborted) break;
  }
});
