export { byPrompt, joinScores, partNames, partsOf, weightedSum } from "./compose.ts";
export { http } from "./http.ts";
export { jpegSize } from "./jpeg-size.ts";
export { rewardKinds } from "./kinds.ts";
export { linear } from "./linear.ts";
export { mixtureLogDensity } from "./mixture-log-density.ts";
export { onnx } from "./onnx.ts";
export { promptScore } from "./prompt-score.ts";
export { quadratic } from "./quadratic.ts";
export {
  defineReward,
  type GraphReward,
  type GraphRewardInput,
  type HostReward,
  type HostRewardDefinition,
  type HostRewardInput,
  type HostSum,
  type Normalization,
  type PromptFeatures,
  type Reward,
  type RewardDefinition,
  type RewardKind,
  type RewardPart,
  type RewardValue,
} from "./reward.ts";
export { styleScore } from "./style-score.ts";
export { vlmJudge } from "./vlm-judge.ts";
