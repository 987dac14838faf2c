import type { NamedArrays } from "../core/named-arrays.ts";
import { loadTokenizer } from "../data/index.ts";
import type { Params } from "../nn/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { checkTensors, type FolderPart } from "../weights/index.ts";
import { clipText, clipTextSpecs, clipTextWeights, parseClipTextConfig } from "./clip-text.ts";

/** The text encoder of a diffusers folder with its tokenizer. */
export interface TextEncoder {
  readonly weights: NamedArrays;
  /** Tokens of a prompt. */
  readonly length: number;
  /** Numbers of a token's encoding. */
  readonly width: number;
  /** Token ids [B, length]. */
  tokenize(prompts: readonly string[]): Int32Array;
  /** int32 ids [B, length] → [B, length, width], with `weights` as parameters. */
  encode(params: Params, ids: Tensor): Tensor;
}

/**
 * A `CLIPTextModel` and the tokenizer in a folder of its own. Throws ConfigError for a network that is not supported, FormatError
 * for weights that do not fit it, naming `source`.
 */
export async function textEncoder(part: FolderPart, tokenizerFolder: string, source: string): Promise<TextEncoder> {
  const config = parseClipTextConfig(part.config, `${source}/config.json`);
  const weights = clipTextWeights(part.weights);
  checkTensors(clipTextSpecs(config), weights, source);
  const tokenizer = await loadTokenizer(tokenizerFolder);
  const length = config.max_position_embeddings;
  return {
    weights,
    length,
    width: config.hidden_size,
    tokenize: (prompts) => tokenizer.encode(prompts, length),
    encode: (params, ids) => clipText(params, config, ids),
  };
}
