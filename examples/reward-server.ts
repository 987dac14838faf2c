// A reward behind HTTP: scores the mean brightness of pictures, 0 to 1, and shows what a server has to speak.
//   node examples/reward-server.ts 8300         (Node 22.18 or newer)
import { createServer, type IncomingMessage, type Server } from "node:http";
import { pathToFileURL } from "node:url";
import { decodePng } from "nablaflow/images";
import { z } from "zod";

const bodyLimit = 64 * 2 ** 20; // bytes
const question = z.object({ images: z.array(z.string()), prompts: z.array(z.string()) });

async function brightness(base64: string): Promise<number> {
  const { data } = await decodePng(Buffer.from(base64, "base64")); // RGB, 0 to 255
  return data.reduce((sum, value) => sum + value, 0) / (255 * data.length);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += (part as Buffer).length;
    if (bytes > bodyLimit) throw new Error(`more than ${bodyLimit} bytes came`);
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}

/** Listens on this machine only; port 0 takes a free one. */
export function rewardServer(port = 0): Promise<Server> {
  const server = createServer(async (request, response) => {
    const answer = (status: number, value: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    try {
      const { images } = question.parse(JSON.parse(await bodyOf(request)));
      answer(200, { rewards: await Promise.all(images.map(brightness)) });
    } catch (error) {
      answer(400, { error: (error as Error).message });
    }
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const port = Number(process.argv[2] ?? 8300);
  await rewardServer(port);
  console.log(`Scores brightness at http://127.0.0.1:${port}/. Ctrl-C stops it.`);
}
