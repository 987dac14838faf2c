import { pngBase64, type Sample } from "../http/scores.ts";

export interface JudgeOptions {
  model: string;
  /** With {prompt} where the prompt of the picture stands. */
  question: string;
  maxTokens: number;
  /** Tokens whose log-probabilities are asked for; 0: none. */
  topLogprobs: number;
}

/** Body of POST /v1/chat/completions that asks about one picture. */
export async function judgeQuestion(
  { picture, prompt }: Sample,
  { model, question, maxTokens, topLogprobs }: JudgeOptions,
): Promise<string> {
  const url = `data:image/png;base64,${await pngBase64(picture)}`;
  const content = [
    { type: "text", text: question.replaceAll("{prompt}", () => prompt) }, // a function: "$&" in a prompt means itself
    { type: "image_url", image_url: { url } },
  ];
  return JSON.stringify({
    model,
    messages: [{ role: "user", content }],
    temperature: 0,
    max_tokens: maxTokens,
    ...(topLogprobs > 0 && { logprobs: true, top_logprobs: topLogprobs }),
  });
}
