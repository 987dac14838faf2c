import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Answer<Question> = (question: Question, response: ServerResponse, request: IncomingMessage) => unknown;

const servers: Server[] = [];

/** Closes every server of this test file, with what is still under way. */
export function closeStandIns(): void {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
}

/** Of a server that listens on this machine, which `closeStandIns` then closes. */
export function urlOf(server: Server, path = "/score"): string {
  servers.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
}

/** A server whose answers are values, or written by `answer` itself; it keeps the JSON that it was asked. */
export async function serve<Question>(answer: Answer<Question>, path = "/score") {
  const asked: Question[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const question = JSON.parse(body) as Question;
    asked.push(question);
    const value = await answer(question, response, request);
    if (value !== undefined) response.end(typeof value === "string" ? value : JSON.stringify(value));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { asked, url: urlOf(server, path) };
}

/** Refuses with the given statuses and headers, each with a body that nobody may quote, then answers. */
export const refusing = <Question>(
  refusals: [number, Record<string, string>?][],
  answer: Answer<Question>,
  body: string,
  path?: string,
) =>
  serve<Question>((question, response, request) => {
    const refusal = refusals.shift();
    if (!refusal) return answer(question, response, request);
    response.writeHead(...refusal);
    return body;
  }, path);

/** Name, message, stack and cause of what went wrong: everything in which a secret could stand. */
export const messageOf = (asking: Promise<unknown>): Promise<string> =>
  asking.then(
    () => "no error",
    (error) => `${error.stack} ${error.cause}`,
  );
