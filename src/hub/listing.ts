import { z } from "zod";
import { showValue } from "../weights/show-value.ts";
import { HubError } from "./errors.ts";
import type { Hub } from "./hub.ts";
import { type HubId, isCommit } from "./hub-id.ts";
import { refusal } from "./refusal.ts";
import { isRepoPath, leadsOut } from "./repo-path.ts";
import { request } from "./request.ts";

/** A file of a repository, with the hash that says whether what came is it. */
export interface RepoFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Of the content (large files), or git's own, of a header and the content. It is also the file's name in the cache. */
  readonly hash: { readonly kind: "sha256" | "git-sha1"; readonly hex: string };
}

const largestAnswer = 2 ** 25; // bytes; a page of a listing lists 1000 files in some hundred kB
const mostPages = 100;
const largestFile = 2 ** 40; // bytes; more than any model is
const size = z.int().nonnegative().max(largestFile);
const entry = z.object({
  type: z.string(),
  path: z.string().refine((path) => !leadsOut(path), "it leads out of the repository"),
  size,
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size }).optional(),
});

/** The commit that a revision means now. */
export async function resolveCommit(hub: Hub, id: HubId): Promise<string> {
  if (isCommit(id.revision)) return id.revision;
  const { modelInfo } = await import("@huggingface/hub");
  const { sha } = await modelInfo({
    name: id.name,
    revision: id.revision,
    additionalFields: ["sha"],
    hubUrl: hub.endpoint,
    fetch: apiFetch(hub, id, "object"),
  });
  if (typeof sha === "string" && isCommit(sha)) return sha;
  throw new HubError(`${hub.endpoint} does not say which commit ${id.revision} of ${id.name} is. Check HF_ENDPOINT.`);
}

/** All files of a commit. Throws HubError for a listing that names what no file of a repository can be. */
export async function listRepo(hub: Hub, id: HubId, commit: string): Promise<RepoFile[]> {
  const { listFiles } = await import("@huggingface/hub");
  const files: RepoFile[] = [];
  const entries = listFiles({
    repo: { type: "model", name: id.name },
    revision: commit,
    recursive: true,
    hubUrl: hub.endpoint,
    fetch: apiFetch(hub, id, "list"),
  });
  for await (const listed of entries) {
    const { success, data, error } = entry.safeParse(listed);
    if (!success) {
      const { path, message } = error.issues[0]!;
      throw new HubError(
        `The listing of ${id.name} is refused, and nothing was loaded: of the entry ${showValue(listed?.path)}, ${path.join(".") || "all"}: ${message}.`,
      );
    }
    if (data.type !== "file" || !isRepoPath(data.path)) continue; // a name that some system cannot have is of no file we read
    const { lfs, oid } = data;
    files.push({
      path: data.path,
      size: lfs?.size ?? data.size,
      hash: lfs ? { kind: "sha256", hex: lfs.oid } : { kind: "git-sha1", hex: oid },
    });
  }
  return files;
}

/** What the hub's library asks with: no address but the hub's, answers of bounded size and number that are JSON. */
function apiFetch(hub: Hub, id: HubId, expected: "object" | "list"): typeof fetch {
  let pages = 0;
  return async (input) => {
    const address = String(input);
    if (new URL(address).origin !== new URL(hub.endpoint).origin)
      throw new HubError(`The listing of ${id.name} goes on at another address, which is not followed.`);
    if (++pages > mostPages) throw new HubError(`The listing of ${id.name} has more than ${mostPages} pages.`);
    return request(hub, address, { accept: "application/json" }, async (response, alive) => {
      if (!response.ok) throw refusal(hub, id, response);
      const text = await boundedText(response, id, alive);
      if (kindOfJson(text) !== expected)
        throw new HubError(`${hub.endpoint} answers with no JSON ${expected} about ${id.name}. Check HF_ENDPOINT.`);
      const link = response.headers.get("link");
      return new Response(text, { headers: { "content-type": "application/json", ...(link && { link }) } });
    });
  };
}

function kindOfJson(text: string): "object" | "list" | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return "list";
    return typeof value === "object" && value !== null ? "object" : undefined;
  } catch {
    return undefined; // the parser's message would quote what came
  }
}

async function boundedText(response: Response, id: HubId, alive: () => void): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    alive();
    bytes += part.length;
    if (bytes > largestAnswer)
      throw new HubError(`The hub's answer about ${id.name} has more than ${largestAnswer} bytes.`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
