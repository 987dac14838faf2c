import { NablaError } from "../core/errors.ts";

/** A download that did not come about: no answer, a broken file, no room. What went wrong lies outside of the configuration. */
export class HubError extends NablaError {
  override name = "HubError";
}

/** The hub gives no answer, or asks to be left alone for now (429, 5xx), so that only a copy in the cache can help. */
export class HubUnreachable extends HubError {
  override name = "HubUnreachable";
}
