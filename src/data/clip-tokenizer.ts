/** CLIP's names for the first and the last token of a text. */
export const BOS = "<|startoftext|>";
export const EOS = "<|endoftext|>";

/** How CLIP cuts a lower-case text into words before byte-pair encoding [openai/CLIP simple_tokenizer.py]. */
const WORDS = "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/** A merge rule of byte-pair encoding: two neighbouring tokens become one. */
export type Merge = readonly [left: string, right: string];

/** token → id, as vocab.json has it. */
export type Vocabulary = Readonly<Record<string, number>>;

/**
 * The contents of tokenizer.json (the format of Hugging Face's tokenizers) for a CLIP vocabulary and its merges: NFC, one
 * space for any white space, lower case, words, bytes, merges with `</w>` at word ends, BOS before and EOS after.
 */
export function clipTokenizerJson(vocabulary: Vocabulary, merges: readonly Merge[]): object {
  const special = (content: string) => ({
    id: vocabulary[content],
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [special(BOS), special(EOS)],
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: WORDS }, behavior: "Removed", invert: true },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: {
      type: "RobertaProcessing",
      sep: [EOS, vocabulary[EOS]],
      cls: [BOS, vocabulary[BOS]],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: EOS,
      continuing_subword_prefix: "",
      end_of_word_suffix: "</w>",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: vocabulary,
      merges: merges.map(([left, right]) => `${left} ${right}`),
    },
  };
}

/** Reads merges.txt: a "#version" line, then one merge a line. */
export function parseMerges(text: string): Merge[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#version"))
    .map((line) => {
      const space = line.indexOf(" ");
      return [line.slice(0, space), line.slice(space + 1).trimEnd()] as const;
    });
}

/**
 * The 256 characters that stand for the bytes 0–255, as GPT-2 and CLIP write them: printable Latin-1 characters stand for
 * themselves, the others are moved to U+0100 and up. In CLIP's order: the printable ones first.
 */
export function byteCharacters(): string[] {
  const printable: number[] = [];
  const moved: number[] = [];
  for (let byte = 0; byte < 256; byte++) {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    (isPrintable ? printable : moved).push(byte);
  }
  return [...printable, ...moved.map((_, at) => 256 + at)].map((code) => String.fromCharCode(code));
}
