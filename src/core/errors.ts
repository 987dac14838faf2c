/** Base of every error this package throws on purpose. The message gives the rule, what came, and the way out. */
export class NablaError extends Error {
  override name = "NablaError";
}

/** Wrong usage or configuration: found before any work starts. The CLI exits with 2. */
export class ConfigError extends NablaError {
  override name = "ConfigError";
}

/** An operator was given shapes or types it cannot take. */
export class ShapeError extends NablaError {
  override name = "ShapeError";
}

/** A file from outside does not follow its format. */
export class FormatError extends NablaError {
  override name = "FormatError";
}

/** A number that must be finite is not; training stops and the last good checkpoint is kept. */
export class NonFiniteError extends NablaError {
  override name = "NonFiniteError";
}
