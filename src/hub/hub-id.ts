import { existsSync } from "node:fs";
import { ConfigError } from "../core/errors.ts";
import { shippedPath } from "../core/package-root.ts";
import { isRepoPath } from "./repo-path.ts";

/** What is meant by `hf:owner/name@revision/path/in/repo`. */
export interface HubId {
  /** "owner/name". */
  readonly name: string;
  /** Branch, tag or commit; "main" unless given. */
  readonly revision: string;
  /** A file or folder in the repository; undefined: all of it. */
  readonly path: string | undefined;
}

const prefix = "hf:";
/** First folders of paths that are local, whether or not they exist. */
const ourFolders = ["assets", "configs", "runs"];
const word = "[A-Za-z0-9](?:[\\w.-]{0,94}\\w)?";
// refs/pr/7 and refs/convert/NAME are the revisions with "/" that the hub makes itself.
const pattern = new RegExp(
  `^(?<name>${word}/${word})(?:@(?<revision>refs/(?:pr|convert)/[\\w.-]+|[\\w.-]+))?(?:/(?<path>.+))?$`,
);

/** Reads `owner/name`, `owner/name@revision` or `owner/name@revision/path`, with or without `hf:`. Throws ConfigError. */
export function parseHubId(text: string): HubId {
  const id = matched(text.startsWith(prefix) ? text.slice(prefix.length) : text);
  if (id) return id;
  throw new ConfigError(
    `A hub id is hf:owner/name, hf:owner/name@revision or hf:owner/name@revision/path/of/file, but ${JSON.stringify(text)} came. A branch whose name has "/" is given by its commit.`,
  );
}

/** The id as a configuration records it: `hf:owner/name@revision/path`. */
export const showHubId = ({ name, revision, path }: HubId): string =>
  `${prefix}${name}@${revision}${path === undefined ? "" : `/${path}`}`;

/** Whether a revision is a commit, which always means the same files. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** The hub id of `hf:…`; undefined for everything else. Where a path usually is one of a run, no other spelling is taken. */
export const explicitHubId = (text: string): HubId | undefined =>
  text.startsWith(prefix) ? parseHubId(text) : undefined;

/**
 * The hub id that a path of a configuration or command is; undefined for a local path. `hf:…` is always an id. Without
 * it a local path wins: what exists, what starts with `./`, `../`, `/` or `~`, and what would lie in a folder that exists.
 */
export function hubIdOf(text: string): HubId | undefined {
  const explicit = explicitHubId(text);
  if (explicit) return explicit;
  const id = matched(text);
  if (!id || (id.path !== undefined && !text.includes("@")) || existsSync(shippedPath(text))) return undefined;
  const first = text.slice(0, text.indexOf("/"));
  return ourFolders.includes(first) || existsSync(first) ? undefined : id;
}

function matched(text: string): HubId | undefined {
  const { name, revision = "main", path } = pattern.exec(text)?.groups ?? {};
  if (name === undefined || /\.\.|--/.test(name) || /\.\.|^[.-]|\.lock$/.test(revision)) return undefined;
  return path === undefined || isRepoPath(path) ? { name, revision, path } : undefined;
}
