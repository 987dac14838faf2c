import type { TensorProto } from "onnx-buf";
import { FormatError } from "../../core/errors.ts";

/** Where the bytes of a tensor lie, outside of the model's file. */
export interface ExternalData {
  /** Path relative to the folder of the model, with "/" between its parts; it does not lead out of that folder. */
  location: string;
  offset: number;
  /** Up to the end of the file when undefined. */
  length: number | undefined;
}

/** Reads the place of a tensor's data. Throws FormatError, naming `where`, for places outside the model's folder. */
export function externalDataOf(proto: TensorProto, where: string): ExternalData {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get("location") ?? "";
  const parts = location.split("/");
  if (/[\\:\0]/.test(location) || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new FormatError(
      `${where}: external data lies in a file below the model's folder, but its location is ${JSON.stringify(location)}.`,
    );
  }
  const number = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
    throw new FormatError(`${where}: ${key} of external data is a number of bytes, but is ${JSON.stringify(text)}.`);
  };
  return { location, offset: number("offset") ?? 0, length: number("length") };
}
