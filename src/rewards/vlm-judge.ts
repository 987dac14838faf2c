import { z } from "zod";
import { eightBitPictures } from "./eight-bit.ts";
import { openClient } from "./http/client.ts";
import { refuseSecret, secretFrom } from "./http/headers.ts";
import { connectionOptions } from "./http/options.ts";
import { openScores, type Protocol } from "./http/scores.ts";
import { defineReward } from "./reward.ts";
import { bare, judgedScore } from "./vlm/answer.ts";
import { judgeQuestion } from "./vlm/question.ts";

const kind = "vlm-judge";
const defaultQuestion =
  'How well does this picture show "{prompt}"? Rate it from 1 (not at all) to 5 (exactly). Answer with one digit and nothing else.';

const options = z.strictObject({
  ...connectionOptions(kind),
  model: z.string().min(1).describe("name of the model at that address"),
  question: z
    .string()
    .min(1)
    .default(defaultQuestion)
    .describe("rubric that is sent with a picture; {prompt} stands for its prompt"),
  answers: z
    .record(z.string().regex(/\S/), z.number())
    .refine(severalAnswers, "must hold two or more answers that differ in more than case")
    .default({ "1": 1, "2": 2, "3": 3, "4": 4, "5": 5 })
    .describe("the words that may be answered, and the score of each"),
  topLogprobs: z
    .int()
    .min(0)
    .max(20)
    .default(20)
    .describe("likeliest tokens whose probabilities make the score; 0: the written answer alone"),
  maxTokens: z.int().positive().default(16).describe("length of an answer, at most"),
  key: z
    .string()
    .refine((variable) => refuseSecret(`${kind}: reward.key`, variable))
    .optional()
    .describe("environment variable that holds the API key; default: none is sent"),
});

/**
 * A vision-language model behind an OpenAI-style address is asked about each picture at temperature 0, and the score is the
 * expected value of its answer under its own probabilities, or the value of what it writes where it gives none. The key is read
 * from the environment and shown nowhere.
 */
export const vlmJudge = defineReward({
  kind,
  summary: "what a vision-language model at an OpenAI-style address answers about a picture and its prompt",
  options,
  async load({ key, ...options }) {
    const secret = key !== undefined && secretFrom(kind, key, "the API key", process.env);
    const headers: Record<string, string> = secret ? { authorization: `Bearer ${secret}` } : {};
    const client = openClient({ ...options, kind, headers, secrets: "reward.key" });
    const protocol: Protocol = {
      batch: 1,
      question: ([sample]) => judgeQuestion(sample!, options),
      scores: (text, _, address) => [judgedScore(text, options.answers, address)],
    };
    return openScores(client, protocol, options);
  },
  host: async (input, _, scores) => scores(eightBitPictures(kind, input), input.prompts),
});

function severalAnswers(answers: Readonly<Record<string, number>>): boolean {
  const words = Object.keys(answers).map(bare);
  return words.length >= 2 && new Set(words).size === words.length && !words.includes("");
}
