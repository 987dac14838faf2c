import { element, whenStarted } from "./page.ts";
import { plotOn } from "./plot.ts";
import { center, modes, std, target, trainRing8 } from "./ring8.ts";

const POINTS = 400;
const wanted = target(POINTS);
const world = plotOn(element<HTMLCanvasElement>("world"), [-2.1, 2.1], [-2.1, 2.1]);
const curveCanvas = element<HTMLCanvasElement>("curve");

function drawWorld(samples?: Float32Array): void {
  world.clear();
  for (const [x, y] of modes) world.circle(x!, y!, 2 * std, "grid");
  world.points(wanted.samples, "truth", 2.5);
  if (samples) world.points(samples, "fit", 2.5);
  world.circle(center[0]!, center[1]!, 0.07, "accent");
  world.circle(center[0]!, center[1]!, 0.02, "accent");
}

function drawRewards(rewards: readonly number[], updates: number): void {
  const low = Math.min(...rewards, wanted.meanReward) - 0.2;
  const plot = plotOn(curveCanvas, [-updates / 50, updates * 1.02], [low, wanted.meanReward + 0.5]);
  plot.line([0, updates], [wanted.meanReward, wanted.meanReward], "muted", { dashed: true, width: 1.5 });
  plot.text("mean reward of the target", 0, wanted.meanReward + 0.12);
  plot.line(
    rewards.map((_, k) => k + 1),
    rewards,
    "fit",
  );
}

drawWorld();
drawRewards([], 400);

whenStarted(async ({ runtime, updates, signal, tell, breathe }) => {
  const rewards: number[] = [];
  tell("Compiling …");
  await breathe();
  await trainRing8(runtime, {
    updates,
    points: POINTS,
    every: 10,
    signal,
    onSamples: drawWorld,
    async onEvent(event) {
      if (event.type !== "step") return;
      rewards.push(event.reward!);
      drawRewards(rewards, updates);
      const shown = `mean reward ${event.reward!.toFixed(2)}, of the target ${wanted.meanReward.toFixed(2)}`;
      tell(`Update ${event.update} of ${updates}: ${shown}; ${event.seconds.toFixed(2)} s per update`);
      await breathe();
    },
  });
});
