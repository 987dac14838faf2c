import { z } from "zod";
import { NablaError } from "../../core/errors.ts";
import { jsonOf } from "../http/answer.ts";

/** Answers that a judge may give, and what each is worth. */
export type Answers = Readonly<Record<string, number>>;

const scored = z.object({ token: z.string(), logprob: z.number().nullable() });
const position = scored.extend({ top_logprobs: z.array(scored).default([]) });
type Position = z.output<typeof position>;

const completion = z.object({
  choices: z
    .array(
      z.object({
        message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }),
        // Servers differ in what they put here; where it cannot be read, the text alone counts.
        logprobs: z
          .object({ content: z.array(position).nullish() })
          .nullish()
          .catch(null),
      }),
    )
    .min(1),
});

/**
 * The score in the answer of a chat completion: Σ p(a) v(a) / Σ p(a) over the answers a among the likeliest tokens where the
 * judge gave its answer, or the value of what it wrote where no probabilities came. Undefined for a refusal and for a text that
 * has no answer or several. Throws NablaError, which quotes nothing, for what is no chat completion.
 */
export function judgedScore(text: string, answers: Answers, address: string): number | undefined {
  const parsed = completion.safeParse(jsonOf(text));
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new NablaError(
      `${address} must answer as a chat completion, {choices: [{message: {content: …}}]}, but ${path.join(".") || "the whole"} does not fit: ${message}. Give the whole address, which mostly ends in /v1/chat/completions.`,
    );
  }
  const { message, logprobs } = parsed.data.choices[0]!;
  const written = message.refusal ? undefined : writtenValue(message.content ?? "", answers);
  if (written === undefined) return undefined;
  return expectedValue(logprobs?.content ?? [], written, answers) ?? written;
}

/** The expectation at the token that is the written answer; undefined where there is no such token or no probability. */
function expectedValue(positions: readonly Position[], written: number, answers: Answers): number | undefined {
  const at = positions.find(({ token }) => worthOf(token, answers) === written);
  if (!at) return undefined;
  const listed = at.top_logprobs.some(({ token }) => token === at.token);
  const terms = [...at.top_logprobs, ...(listed ? [] : [at])].flatMap(({ token, logprob }) => {
    const value = worthOf(token, answers);
    return value === undefined || logprob === null ? [] : [{ value, logprob }];
  });
  const largest = Math.max(...terms.map(({ logprob }) => logprob)); // subtracted: nothing overflows, the ratio stays
  const [sum, total] = terms.reduce(
    ([s, t], { value, logprob }) => [s + Math.exp(logprob - largest) * value, t + Math.exp(logprob - largest)],
    [0, 0],
  );
  return terms.length === 0 ? undefined : sum / total;
}

/** The value of a text: JSON (a number, a word, or an object with score, rating or answer), perhaps fenced, or plain words. */
function writtenValue(content: string, answers: Answers): number | undefined {
  const text = /```(?:json)?([\s\S]*?)```/.exec(content)?.[1] ?? content;
  const json = jsonOf(text);
  const { score, rating, answer } = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>;
  const stated = score ?? rating ?? answer ?? json;
  if (typeof stated === "number") return worthOfNumber(stated, answers);
  if (typeof stated === "string") return plainValue(stated, answers);
  return stated === undefined ? plainValue(text, answers) : undefined;
}

/** Of plain text: the only number in it, "4" of "4/5" and "4 out of 5", or the word that it begins with. */
function plainValue(text: string, answers: Answers): number | undefined {
  if (Object.keys(answers).every((word) => Number.isFinite(Number(word)))) {
    const numbers = text.replace(/(?:\/|\bout of\b)\s*\d+(?:\.\d+)?/gi, "").match(/-?\d+(?:\.\d+)?/g) ?? [];
    const [first, ...others] = new Set(numbers.map(Number));
    return first === undefined || others.length > 0 ? undefined : worthOfNumber(first, answers);
  }
  const start = bare(text);
  const words = Object.keys(answers).filter((word) => {
    const known = bare(word);
    return start.startsWith(known) && !/^[\p{L}\p{N}]/u.test(start.slice(known.length));
  });
  const longest = words.sort((a, b) => b.length - a.length)[0]; // "very good" rather than "very"
  return longest === undefined ? undefined : answers[longest];
}

/** An answer, or between two answers of a scale that is worth its own numbers. */
function worthOfNumber(number: number, answers: Answers): number | undefined {
  const exact = worthOf(String(number), answers);
  if (exact !== undefined) return exact;
  const values = Object.values(answers);
  const own = Object.entries(answers).every(([word, value]) => Number(word) === value);
  return own && number > Math.min(...values) && number < Math.max(...values) ? number : undefined;
}

function worthOf(word: string, answers: Answers): number | undefined {
  const entry = Object.entries(answers).find(([known]) => bare(known) === bare(word));
  return entry?.[1];
}

/** Without case, and without the spaces, quotes and marks around. */
export const bare = (text: string): string => text.toLowerCase().replace(/^[\s"'`*([{]+|[\s"'`*)\]}.,:;!]+$/g, "");
