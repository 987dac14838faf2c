import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What one of the two servers was asked. */
export interface Asked {
  readonly host: "hub" | "store";
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** How the stand-in misbehaves; a test sets what it needs. */
export interface Faults {
  /** Bytes of each answer with a file after which the connection breaks, one number for each such answer, in order. */
  cuts: number[];
  /** Answers every question about files or models with this status, and this X-Error-Code. */
  status?: { code: number; error?: string };
  /** Content that is sent instead of the listed one. */
  content?: (path: string, content: Buffer) => Buffer;
  /** The listing instead of the true one. */
  listing?: (entries: Entry[]) => unknown;
  /** Where the listing says that it goes on. */
  next?: string;
  /** Whether ranges are answered with all of the file. */
  noRanges?: boolean;
}

export interface Entry {
  type: string;
  path: string;
  size: number;
  oid: string;
  lfs?: { oid: string; size: number; pointerSize: number };
}

export interface HubStandIn {
  readonly endpoint: string;
  readonly asked: Asked[];
  readonly faults: Faults;
  /** Puts a commit with these files on a branch, and gives its hash. */
  commit(name: string, branch: string, files: Readonly<Record<string, string | Uint8Array>>): string;
  close(): void;
}

const digest = (kind: string, ...parts: (string | Uint8Array)[]): string => {
  const hash = createHash(kind);
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};
export const gitSha1 = (content: Uint8Array): string => digest("sha1", `blob ${content.length}\0`, content);
export const sha256 = (content: Uint8Array): string => digest("sha256", content);

const isLarge = (path: string) => /\.(safetensors|onnx|bin)$/.test(path);
const perPage = 3;

/**
 * A hub of models on loopback, as @huggingface/hub and we ask it: revisions, listings in pages, files, of which the large
 * ones lie at a second server to which the first redirects.
 */
export async function hubStandIn(): Promise<HubStandIn> {
  const asked: Asked[] = [];
  const faults: Faults = { cuts: [] };
  const branches = new Map<string, string>(); // "owner/name@main" → commit
  const commits = new Map<string, ReadonlyMap<string, Buffer>>(); // "owner/name@COMMIT" → files

  const sendFile = (request: IncomingMessage, response: ServerResponse, path: string, listed: Buffer) => {
    const content = faults.content?.(path, listed) ?? listed;
    const from = faults.noRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const part = content.subarray(from);
    response.writeHead(from > 0 ? 206 : 200, {
      "content-length": part.length,
      etag: `"${gitSha1(content)}"`,
      ...(from > 0 && { "content-range": `bytes ${from}-${content.length - 1}/${content.length}` }),
    });
    const cut = faults.cuts.shift();
    if (cut === undefined) response.end(part);
    else response.write(part.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
  };
  const record = (host: Asked["host"], { url = "", headers }: IncomingMessage) =>
    asked.push({ host, path: url, range: headers.range, authorization: headers.authorization });
  const notFound = (response: ServerResponse, error: string) =>
    response.writeHead(404, { "x-error-code": error }).end("not here");

  const store = await listening((request, response) => {
    record("store", request);
    const [, key, path] = /^\/(.+?@[0-9a-f]{40})\/(.+)$/.exec(decodeURIComponent(request.url!))!;
    sendFile(request, response, path!, commits.get(key!)!.get(path!)!);
  });
  const hub = await listening((request, response) => {
    record("hub", request);
    const { pathname, searchParams } = new URL(request.url!, endpoint);
    if (faults.status) {
      const { code, error } = faults.status;
      const echo = JSON.stringify({ error: `you sent ${request.headers.authorization}` });
      response
        .writeHead(code, { "content-type": "application/json", ...(error && { "x-error-code": error }) })
        .end(echo);
      return;
    }
    const [, name, what, rest] = /^\/(?:api\/models\/)?([^/]+\/[^/]+)\/(revision|tree|resolve)\/(.+)$/.exec(pathname)!;
    const [revision, ...segments] = rest!.split("/");
    if (![...branches.keys()].some((key) => key.startsWith(`${name}@`))) return notFound(response, "RepoNotFound");
    if (what === "revision") {
      const sha = branches.get(`${name}@${decodeURIComponent(revision!)}`);
      if (sha === undefined) return notFound(response, "RevisionNotFound");
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ _id: "1", id: name, sha, private: false, lastModified: "2026-01-01T00:00:00Z" }));
      return;
    }
    const files = commits.get(`${name}@${revision}`)!;
    if (what === "tree") {
      const entries = entriesOf(files);
      const at = Number(searchParams.get("cursor") ?? 0);
      const next = `${endpoint}${pathname}?recursive=true&expand=false&cursor=${at + perPage}`;
      if (at + perPage < entries.length || faults.next)
        response.setHeader("link", `<${faults.next ?? next}>; rel="next"`);
      response.setHeader("content-type", "application/json");
      const page = entries.slice(at, at + perPage);
      response.end(JSON.stringify(faults.listing?.(page) ?? page));
      return;
    }
    const path = segments.map(decodeURIComponent).join("/");
    const content = files.get(path);
    if (!content) return notFound(response, "EntryNotFound");
    response.setHeader("x-repo-commit", revision!);
    if (!isLarge(path)) return sendFile(request, response, path, content);
    const location = `http://127.0.0.1:${portOf(store)}/${name}@${revision}/${segments.join("/")}`;
    response
      .writeHead(302, { location, "x-linked-etag": `"${sha256(content)}"`, "x-linked-size": content.length })
      .end();
  });
  const endpoint = `http://127.0.0.1:${portOf(hub)}`;

  return {
    endpoint,
    asked,
    faults,
    commit(name, branch, given) {
      const files = new Map(Object.entries(given).map(([path, content]) => [path, Buffer.from(content as Uint8Array)]));
      const sha = digest("sha1", JSON.stringify(entriesOf(files)));
      commits.set(`${name}@${sha}`, files);
      branches.set(`${name}@${branch}`, sha);
      return sha;
    },
    close() {
      for (const server of [hub, store]) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

function entriesOf(files: ReadonlyMap<string, Buffer>): Entry[] {
  return [...files].map(([path, content]) => ({
    type: "file",
    path,
    size: content.length,
    oid: gitSha1(content),
    ...(isLarge(path) && { lfs: { oid: sha256(content), size: content.length, pointerSize: 130 } }),
  }));
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

async function listening(answer: RequestListener): Promise<Server> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
