// Written by npm run gen from the files of this folder.
import { http } from "./http.ts";
import { jpegSize } from "./jpeg-size.ts";
import { linear } from "./linear.ts";
import { mixtureLogDensity } from "./mixture-log-density.ts";
import { onnx } from "./onnx.ts";
import { promptScore } from "./prompt-score.ts";
import { quadratic } from "./quadratic.ts";
import type { RewardKind } from "./reward.ts";
import { styleScore } from "./style-score.ts";
import { vlmJudge } from "./vlm-judge.ts";

export const rewardKinds: readonly RewardKind[] = [
  http,
  jpegSize,
  linear,
  mixtureLogDensity,
  onnx,
  promptScore,
  quadratic,
  styleScore,
  vlmJudge,
];
