/** The keys of a diffusers or transformers `config.json` that say who wrote the file (`_class_name`) are left out. */
export function withoutPrivateKeys(json: unknown): unknown {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return json;
  return Object.fromEntries(Object.entries(json).filter(([key]) => !key.startsWith("_")));
}
