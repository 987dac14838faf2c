import { ConfigError } from "../../core/errors.ts";

const headerName = /^[\w!#$%&'*+.^`|~-]+$/;
const variableName = /^[A-Z_][A-Z0-9_]*$/;
/** What the request itself sets. */
const ours = [
  "accept",
  "connection",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
];

/**
 * True for header names mapped to names of environment variables. Throws ConfigError that does not repeat the value, as an
 * issue of a schema would: it may be a token that was meant to be kept.
 */
export function refuseHeaders(headers: Readonly<Record<string, string>>): true {
  for (const [name, variable] of Object.entries(headers)) {
    if (!headerName.test(name) || ours.includes(name.toLowerCase())) {
      throw new ConfigError(
        `http: reward.headers cannot set "${name}". Give names such as Authorization or X-Api-Key.`,
      );
    }
    refuseSecret(`http: reward.headers.${name}`, variable);
  }
  return true;
}

/** True for the name of an environment variable. Throws ConfigError that does not repeat what else came; `option` is the key it came under. */
export function refuseSecret(option: string, variable: string): true {
  if (variableName.test(variable)) return true;
  throw new ConfigError(
    `${option} must name an environment variable (A-Z, 0-9, _) that holds the value, because a configuration is recorded with the run. Set the variable and give its name.`,
  );
}

/** Header values from the environment. Throws ConfigError, without any value, for a variable that is not set or no header value. */
export function headersFrom(
  headers: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, variable]) => [
      name,
      secretFrom("http", variable, `the whole value of the header ${name}`, environment),
    ]),
  );
}

/** What an environment variable holds. Throws ConfigError, without the value, when it is not set or no part of a header. */
export function secretFrom(
  kind: string,
  variable: string,
  meaning: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const value = environment[variable];
  if (!value) throw new ConfigError(`${kind}: ${variable} is not set. Set it to ${meaning}.`);
  // Visible ASCII, spaces and tabs [RFC 9110, 5.5]; what else there is, fetch would refuse and quote.
  if (!/^[\t\x20-\x7e]+$/.test(value)) {
    throw new ConfigError(
      `${kind}: the value of ${variable} holds characters that a header cannot, such as a line break. Set it without them.`,
    );
  }
  return value;
}
