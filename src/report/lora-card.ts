import type { RunSummary } from "../run/index.ts";

export interface LoraCardFacts {
  name: string;
  format: "diffusers" | "peft" | "kohya";
  weightFile: string;
  /** Folder or hub name of the model that was finetuned. */
  baseModel: string;
  /** Whether it is a name on the hub, which takes no other for base_model. */
  isOnHub: boolean;
  /** Of a network in an ONNX file, the part of a diffusers folder that its modules' names begin with; else undefined. */
  onnxPart: string | undefined;
  /** SPDX-like word of the base model's card; undefined when it states none. */
  licence: string | undefined;
  rewards: readonly { kind: string; weight?: number | undefined }[];
  objective: { kind: string };
  finetune: { rank: number; alpha: number; targets: readonly string[] };
  updates: number;
  prompts: readonly string[];
  summary: RunSummary | undefined;
  /** Picture beside the card. */
  sample: string | undefined;
}

const shownPrompts = 12;

/** README.md of an exported LoRA, with the front matter that model hubs read. */
export function loraCard(facts: LoraCardFacts): string {
  const { name, baseModel, licence, rewards, objective, finetune, updates, prompts, sample } = facts;
  const own = ({ kind, ...options }: { kind: string }) => `\`${kind}\` \`${JSON.stringify(options)}\``;
  const more = prompts.length > shownPrompts ? ` … (${prompts.length} in all)` : "";
  return `---
license: ${licence ?? "other"}
${facts.isOnHub ? `base_model: ${JSON.stringify(baseModel)}\nbase_model_relation: adapter\n` : ""}library_name: ${facts.format === "peft" ? "peft" : "diffusers"}
tags: [lora, text-to-image, nablaflow]
---

# ${name}

A LoRA that aligns \`${baseModel}\` with a reward, trained with Nablaflow to sample from p_pre(x) · exp(β · r(x)).
${sample ? `\n![samples after training](${sample})\n` : ""}
| | |
|---|---|
| base model | \`${baseModel}\`, licence: ${licence ?? "not stated in its card; the LoRA falls under it, too"} |
| reward | ${rewards.map(own).join(" + ")} |
| objective | ${own(objective)} |
| LoRA | rank ${finetune.rank}, alpha ${finetune.alpha}, on ${finetune.targets.map((target) => `\`${target}\``).join(" ")} |
| updates | ${updates} |
${prompts.length > 0 ? `| prompts | ${prompts.slice(0, shownPrompts).join(", ")}${more} |\n` : ""}
${measured(facts.summary)}
## Use

${use(facts)}
`;
}

function measured(summary: RunSummary | undefined): string {
  if (!summary) return "The run was not measured: it has no summary.json.\n";
  const { before, after } = summary;
  const number = (value: number | undefined) => value?.toFixed(3) ?? "";
  const rows: [string, number | undefined, number | undefined][] = [
    ["reward", before.reward, after.reward],
    ["standard deviation of the reward", before.rewardStd, after.rewardStd],
    ["diversity", before.diversity, after.diversity],
    ["diversity, features of others", before.diversityThirdParty, after.diversityThirdParty],
    ["prompt agreement", before.promptAgreement, after.promptAgreement],
    ["distance to the base model", after.priorDistanceFloor, after.priorDistance],
  ];
  const lines = rows
    .filter(([, , value]) => value !== undefined)
    .map(([what, a, b]) => `| ${what} | ${number(a)} | ${number(b)} |`);
  return `## Measured

${after.images} pictures with the same noise before and after; the distance "before" is that of the base model to itself.

| | before | after |
|---|---|---|
${lines.join("\n")}
`;
}

function use({ format, weightFile, baseModel, onnxPart }: LoraCardFacts): string {
  if (format === "kohya") return `Put \`${weightFile}\` into \`models/Lora\` of A1111 or \`models/loras\` of ComfyUI.`;
  if (onnxPart !== undefined) {
    return `With \`network\`, the network in PyTorch that became the ONNX file:

\`\`\`py
${
  format === "peft"
    ? `from peft import PeftModel
network = PeftModel.from_pretrained(network, "FOLDER")`
    : `network.load_lora_adapter("FOLDER", weight_name="${weightFile}", prefix="${onnxPart}")`
}
\`\`\``;
  }
  const load =
    format === "peft"
      ? `from peft import PeftModel
unet = PeftModel.from_pretrained(unet, "FOLDER")`
      : `unet.load_lora_adapter("FOLDER", weight_name="${weightFile}", prefix="unet")
# or, with a whole pipeline: pipe.load_lora_weights("FOLDER")`;
  return `\`\`\`py
from diffusers import UNet2DConditionModel
unet = UNet2DConditionModel.from_pretrained(${JSON.stringify(baseModel)}, subfolder="unet")
${load}
\`\`\``;
}
