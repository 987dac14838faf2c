import { ConfigError, type NablaError } from "../core/errors.ts";
import { HubError, HubUnreachable } from "./errors.ts";
import type { Hub } from "./hub.ts";
import { type HubId, showHubId } from "./hub-id.ts";

/** What an answer that is no success means, and the way out. The server's own words are not repeated. */
export function refusal(hub: Hub, id: HubId, { status, headers }: Response): NablaError {
  const page = `${hub.endpoint}/${id.name}`;
  const code = headers.get("x-error-code");
  if ((status === 401 && code !== "RepoNotFound") || status === 403) {
    const way =
      hub.token() === undefined
        ? "set HF_TOKEN to a token that may read it"
        : "check that the token in HF_TOKEN may read it";
    return new ConfigError(
      `${showHubId(id)} is private or gated (status ${status}). Accept its licence at ${page}, if it asks for that, and ${way}.`,
    );
  }
  if (code === "RevisionNotFound")
    return new ConfigError(`${id.name} has no revision "${id.revision}". ${page} shows its branches and tags.`);
  if (status === 404 || status === 401) {
    return new ConfigError(
      `There is no model ${id.name} at ${hub.endpoint}, or it is private. Check the name, set HF_TOKEN if it is private, or give a local path that exists, such as ./${id.name}.`,
    );
  }
  if (status === 429 || status >= 500)
    return new HubUnreachable(`${hub.endpoint} answers with status ${status}. Try again later.`);
  return new HubError(`${hub.endpoint} answers with status ${status} for ${showHubId(id)}. Check HF_ENDPOINT.`);
}
