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
    if (!variableName.test(variable)) {
      throw new ConfigError(
        `http: reward.headers.${name} must name an environment variable (A-Z, 0-9, _) that holds the value, because a configuration is recorded with the run. Set the variable and give its name.`,
      );
    }
  }
  return true;
}

/** Header values from the environment. Throws ConfigError, without any value, for a variable that is not set or no header value. */
export function headersFrom(
  headers: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, variable]) => {
      const value = environment[variable];
      if (!value)
        throw new ConfigError(`http: ${variable} is not set. Set it to the whole value of the header ${name}.`);
      // Visible ASCII, spaces and tabs [RFC 9110, 5.5]; what else there is, fetch would refuse and quote.
      if (!/^[\t\x20-\x7e]+$/.test(value)) {
        throw new ConfigError(
          `http: the value of ${variable} holds characters that a header cannot, such as a line break. Set it without them.`,
        );
      }
      return [name, value];
    }),
  );
}
