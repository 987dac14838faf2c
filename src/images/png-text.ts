import { inflateSync } from "node:zlib";
import { ConfigError, FormatError } from "../core/errors.ts";
import { readPngChunks, writePngChunk } from "./png-chunks.ts";

const MAX_INFLATED = 16 * 2 ** 20; // bytes; the compressed texts of a picture may not unpack to more

/**
 * The text entries of a PNG by keyword (tEXt and iTXt); when a keyword comes twice, the last one counts.
 * Throws FormatError on a damaged file or entry.
 */
export function readPngText(bytes: Uint8Array): Map<string, string> {
  const texts = new Map<string, string>();
  let budget = MAX_INFLATED;
  for (const { type, body } of readPngChunks(bytes)) {
    if (type === "tEXt") {
      const zero = indexOfZero(body, 0, type);
      texts.set(latin1(body.subarray(0, zero)), latin1(body.subarray(zero + 1)));
    } else if (type === "iTXt") {
      const { keyword, text, inflated } = readInternational(body, budget);
      texts.set(keyword, text);
      budget -= inflated;
    }
  }
  return texts;
}

/**
 * A copy of the PNG with `texts` (keyword → text) put before IEND, as tEXt, or iTXt where a text is not Latin-1.
 * Entries already there under the same keyword are replaced. Throws ConfigError for a keyword that PNG does not allow.
 */
export function insertPngText(bytes: Uint8Array, texts: Readonly<Record<string, string>>): Uint8Array {
  const chunks = readPngChunks(bytes);
  const kept = chunks.filter(({ type, body }) => {
    if (type === "IEND") return false;
    if (type !== "tEXt" && type !== "iTXt") return true;
    return !Object.hasOwn(texts, latin1(body.subarray(0, indexOfZero(body, 0, type))));
  });
  const parts = [
    bytes.subarray(0, chunks[0]!.start),
    ...kept.map(({ start, end }) => bytes.subarray(start, end)),
    ...Object.entries(texts).map(([keyword, text]) => textChunk(keyword, text)),
    writePngChunk("IEND", new Uint8Array(0)),
  ];
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function textChunk(keyword: string, text: string): Uint8Array {
  if (!/^[\x21-\x7e\xa1-\xff](?:[\x20-\x7e\xa1-\xff]{0,77}[\x21-\x7e\xa1-\xff])?$/.test(keyword)) {
    throw new ConfigError(
      `A PNG keyword is 1 to 79 printable Latin-1 characters without spaces at its ends, got ${JSON.stringify(keyword)}.`,
    );
  }
  if (text.includes("\0"))
    throw new ConfigError(`The PNG text "${keyword}" contains a zero character, which PNG forbids.`);
  const head = Uint8Array.from(keyword, (letter) => letter.charCodeAt(0));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the question is which characters one byte can hold.
  if (/^[\x01-\xff]*$/.test(text)) {
    const body = new Uint8Array(head.length + 1 + text.length);
    body.set(head);
    for (let at = 0; at < text.length; at++) body[head.length + 1 + at] = text.charCodeAt(at);
    return writePngChunk("tEXt", body);
  }
  // keyword 0, compressed? method, language 0, translated keyword 0, UTF-8 text
  const utf8 = new TextEncoder().encode(text);
  const body = new Uint8Array(head.length + 5 + utf8.length);
  body.set(head);
  body.set(utf8, head.length + 5);
  return writePngChunk("iTXt", body);
}

/** `inflated` counts the bytes that a compressed text unpacks to, at most `budget`. */
function readInternational(body: Uint8Array, budget: number): { keyword: string; text: string; inflated: number } {
  const keywordEnd = indexOfZero(body, 0, "iTXt");
  const languageEnd = indexOfZero(body, keywordEnd + 3, "iTXt");
  const translatedEnd = indexOfZero(body, languageEnd + 1, "iTXt");
  const keyword = latin1(body.subarray(0, keywordEnd));
  try {
    const packed = body.subarray(translatedEnd + 1);
    const isPacked = body[keywordEnd + 1] === 1;
    const utf8 = isPacked ? inflateSync(packed, { maxOutputLength: Math.max(1, budget) }) : packed;
    const text = new TextDecoder("utf-8", { fatal: true }).decode(utf8);
    return { keyword, text, inflated: isPacked ? utf8.length : 0 };
  } catch (cause) {
    throw new FormatError(
      `The iTXt entry ${JSON.stringify(keyword)} of this PNG is damaged: ${(cause as Error).message}.`,
      {
        cause,
      },
    );
  }
}

function indexOfZero(body: Uint8Array, from: number, type: string): number {
  const at = body.indexOf(0, from);
  if (at < 0) throw new FormatError(`A PNG ${type} entry separates its parts by zero bytes, but one is missing.`);
  return at;
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
