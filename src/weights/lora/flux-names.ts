import { FormatError } from "../../core/errors.ts";
import type { NamedArray, NamedArrays } from "../../core/named-arrays.ts";

// Kohya's files of FLUX use the names of its original code, which has one matrix where diffusers has several: q, k and v of
// an attention, and in single blocks also the first layer of the perceptron. Here their tensors become those of diffusers'
// modules. Checked against diffusers' converter: reference/lora_flux_golden.py.

/** One module of diffusers, and how much of the rows of W is its part; `swapped`: shift and scale stand the other way round. */
interface Target {
  readonly module: string;
  readonly share?: number;
  readonly swapped?: boolean;
}

const one = (module: string): readonly Target[] => [{ module }];
const qkv = (...modules: string[]): readonly Target[] => modules.map((module) => ({ module }));

const doubleBlock: Readonly<Record<string, readonly Target[]>> = {
  img_attn_qkv: qkv("attn_to_q", "attn_to_k", "attn_to_v"),
  img_attn_proj: one("attn_to_out_0"),
  img_mlp_0: one("ff_net_0_proj"),
  img_mlp_2: one("ff_net_2"),
  img_mod_lin: one("norm1_linear"),
  txt_attn_qkv: qkv("attn_add_q_proj", "attn_add_k_proj", "attn_add_v_proj"),
  txt_attn_proj: one("attn_to_add_out"),
  txt_mlp_0: one("ff_context_net_0_proj"),
  txt_mlp_2: one("ff_context_net_2"),
  txt_mod_lin: one("norm1_context_linear"),
};
const singleBlock: Readonly<Record<string, readonly Target[]>> = {
  linear1: [...qkv("attn_to_q", "attn_to_k", "attn_to_v"), { module: "proj_mlp", share: 4 }],
  linear2: one("proj_out"),
  modulation_lin: one("norm_linear"),
};
const outsideBlocks: Readonly<Record<string, readonly Target[]>> = {
  img_in: one("x_embedder"),
  txt_in: one("context_embedder"),
  time_in_in_layer: one("time_text_embed_timestep_embedder_linear_1"),
  time_in_out_layer: one("time_text_embed_timestep_embedder_linear_2"),
  vector_in_in_layer: one("time_text_embed_text_embedder_linear_1"),
  vector_in_out_layer: one("time_text_embed_text_embedder_linear_2"),
  guidance_in_in_layer: one("time_text_embed_guidance_embedder_linear_1"),
  guidance_in_out_layer: one("time_text_embed_guidance_embedder_linear_2"),
  final_layer_linear: one("proj_out"),
  final_layer_adaLN_modulation_1: [{ module: "norm_out_linear", swapped: true }],
};

const isBlock = /^lora_unet_(double|single)_blocks_\d+_/;
const endings = { down: ".lora_down.weight", up: ".lora_up.weight", alpha: ".alpha" } as const;

/**
 * The tensors of a kohya file with those of FLUX under the names of diffusers' modules, `lora_transformer_…`; files of other
 * networks come back as they are. Throws FormatError, naming `source`, when a fused matrix cannot be divided.
 */
export function withoutFluxNames(tensors: NamedArrays, source: string): NamedArrays {
  const names = Object.keys(tensors);
  if (!names.some((name) => isBlock.test(name))) return tensors;
  const renamed = new Map<string, NamedArray>();
  const add = (name: string, tensor: NamedArray): void => {
    if (renamed.has(name)) throw new FormatError(`${source} has the module of ${name} under two names.`);
    renamed.set(name, tensor);
  };
  const done = new Set<string>();
  for (const name of names) {
    const module = name.replace(/\.(lora_down\.weight|lora_up\.weight|alpha)$/, "");
    const targets = targetsOf(module);
    const [down, up] = [tensors[module + endings.down], tensors[module + endings.up]];
    if (!targets || !down || !up) {
      // T5 is the second text encoder of FLUX, and te3 in kohya's files, where it is the third of Stable Diffusion 3.
      add(name.replace(/^lora_te3_/, "lora_te2_"), tensors[name]!);
      continue;
    }
    if (done.has(module)) continue;
    done.add(module);
    for (const part of divided({ down, up, alpha: tensors[module + endings.alpha] }, targets, `${source}: ${module}`)) {
      add(part.module + endings.down, part.down);
      add(part.module + endings.up, part.up);
      if (part.alpha) add(part.module + endings.alpha, part.alpha);
    }
  }
  return Object.fromEntries(renamed);
}

function targetsOf(module: string): readonly Target[] | undefined {
  const prefixed = (targets: readonly Target[] | undefined, prefix: string) =>
    targets?.map((target) => ({ ...target, module: `lora_transformer_${prefix}${target.module}` }));
  const [, way, number, rest] = /^lora_unet_(double|single)_blocks_(\d+)_(.+)$/.exec(module) ?? [];
  const own = (table: Readonly<Record<string, readonly Target[]>>, key: string) =>
    Object.hasOwn(table, key) ? table[key] : undefined;
  if (way === "double") return prefixed(own(doubleBlock, rest!), `transformer_blocks_${number}_`);
  if (way === "single") return prefixed(own(singleBlock, rest!), `single_transformer_blocks_${number}_`);
  return prefixed(own(outsideBlocks, module.replace(/^lora_unet_/, "")), "");
}

interface Parts {
  readonly down: NamedArray;
  readonly up: NamedArray;
  readonly alpha: NamedArray | undefined;
}

/**
 * The rows of B belong to the modules one after the other. A is shared by them, unless B is block-diagonal: then each module
 * has rows of A of its own, and alpha is divided so that alpha/rank stays.
 */
function divided(
  { down, up, alpha }: Parts,
  targets: readonly Target[],
  where: string,
): (Parts & { module: string })[] {
  if (targets.length === 1) {
    const [{ module, swapped }] = targets as [Target];
    return [{ module, down, alpha, up: swapped ? swappedHalves(up, where) : up }];
  }
  const [outputs = 0, rank = 0] = up.shape;
  const shares = targets.map(({ share = 1 }) => share);
  const unit = outputs / shares.reduce((sum, share) => sum + share, 0);
  if (up.shape.length !== 2 || down.shape.length !== 2 || !Number.isInteger(unit) || down.shape[0] !== rank) {
    throw new FormatError(
      `${where}: B [out, rank] with A [rank, in] is divided among ${targets.length} modules by ${shares.join(" : ")}, but they are [${up.shape}] and [${down.shape}].`,
    );
  }
  let begin = 0;
  const rows = shares.map((share) => {
    begin += share * unit;
    return { begin: begin - share * unit, end: begin };
  });
  const own = rank / targets.length;
  const ownsRank = Number.isInteger(own) && own > 0 && isBlockDiagonal(up, rows, own);
  return targets.map(({ module }, k) => {
    const part = block(up, rows[k]!.begin, rows[k]!.end, 0, rank);
    if (!ownsRank) return { module, down, up: part, alpha };
    return {
      module,
      down: block(down, k * own, (k + 1) * own, 0, down.shape[1]!),
      up: block(part, 0, part.shape[0]!, k * own, (k + 1) * own),
      alpha: alpha && { ...alpha, data: alpha.data.map((value) => value / targets.length) },
    };
  });
}

/** Whether B is 0 but for `own` columns of each range of rows. */
function isBlockDiagonal(up: NamedArray, rows: readonly { begin: number; end: number }[], own: number): boolean {
  const columns = up.shape[1]!;
  return rows.every(({ begin, end }, k) => {
    for (let at = begin * columns; at < end * columns; at++) {
      if (Math.floor((at % columns) / own) !== k && up.data[at] !== 0) return false;
    }
    return true;
  });
}

/** Rows and columns of a matrix. */
function block({ shape, data }: NamedArray, top: number, bottom: number, left: number, right: number): NamedArray {
  const columns = shape[1]!;
  const out = new Float32Array((bottom - top) * (right - left));
  for (let row = top; row < bottom; row++) {
    out.set(data.subarray(row * columns + left, row * columns + right), (row - top) * (right - left));
  }
  return { shape: [bottom - top, right - left], data: out };
}

/** The original code modulates with (shift, scale), diffusers with (scale, shift). */
function swappedHalves(up: NamedArray, where: string): NamedArray {
  const half = up.data.length / 2;
  if (up.shape[0]! % 2 !== 0) throw new FormatError(`${where}: B has two halves of rows, but it is [${up.shape}].`);
  const data = new Float32Array(up.data.length);
  data.set(up.data.subarray(half), 0);
  data.set(up.data.subarray(0, half), half);
  return { shape: up.shape, data };
}
