import fc from "fast-check";
import { expect } from "vitest";
import { FormatError, type NablaError } from "../../src/core/errors.ts";

/** Runs of each property: short, or as many as NABLA_FUZZ_RUNS says. */
export const fuzzRuns = (short: number): number => Number(process.env.NABLA_FUZZ_RUNS ?? short);

/** In ms: far beyond what the runs take; a reader that hangs ends there. */
export const fuzzTimeout = (short: number): number => 120_000 + 20 * fuzzRuns(short);

const MAX_MESSAGE = 5000; // characters: 20 lines of known keys at most; a message must not repeat a file

export interface Refusal {
  /** What every message says: the file or what stands for it. Default: nothing in particular. */
  readonly naming?: string;
  /** Which errors are the reader's own. Default: FormatError. */
  readonly errors?: readonly (new (
    message: string,
  ) => NablaError)[];
}

/** Whether a reader reads its input. Fails for any error but a short one of its own, which names the file. */
export async function reads(
  read: () => unknown,
  { naming = "", errors = [FormatError] }: Refusal = {},
): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (error) {
    if (!errors.some((kind) => error instanceof kind)) throw error;
    const { message } = error as NablaError;
    expect(message).toContain(naming);
    expect(message.length).toBeLessThan(MAX_MESSAGE);
    return false;
  }
}

/** Runs a property; `least` is the share of inputs that must still be read, so that the fuzzing goes deep. */
export async function fuzz<T>(
  arbitrary: fc.Arbitrary<T>,
  read: (value: T) => Promise<boolean>,
  { short, least = 0 }: { short: number; least?: number },
): Promise<void> {
  let well = 0;
  let all = 0;
  const property = fc.asyncProperty(arbitrary, async (value) => {
    all++;
    if (await read(value)) well++;
  });
  await fc.assert(property, { numRuns: fuzzRuns(short) });
  expect(all).toBeGreaterThanOrEqual(fuzzRuns(short));
  expect(well).toBeGreaterThanOrEqual(least * all);
}
