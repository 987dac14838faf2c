export { byPrompt, weightedSum } from "./compose.ts";
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
  type GraphRewardInput,
  type HostRewardDefinition,
  type HostRewardInput,
  type PromptFeatures,
  type Reward,
  type RewardDefinition,
  type RewardKind,
  type RewardValue,
} from "./reward.ts";
export { styleScore } from "./style-score.ts";
