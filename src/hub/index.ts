export * from "./errors.ts";
export { cachedPath, commitOf, fromHub } from "./from-hub.ts";
export * from "./hub.ts";
export { explicitHubId, type HubId, hubIdOf, isCommit, parseHubId, showHubId } from "./hub-id.ts";
