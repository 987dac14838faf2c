import { InvalidArgumentError } from "commander";

/** For repeatable options: `--set a=1 --set b=2`. */
export const collect = (value: string, all: string[]): string[] => [...all, value];

/** Parser of a whole number of at least `least`. */
export const wholeNumber =
  (least: number) =>
  (text: string): number => {
    if (/^\d+$/.test(text) && Number(text) >= least) return Number(text);
    throw new InvalidArgumentError(`A whole number of at least ${least} is needed.`);
  };

/** Parser of a number of at least 0. */
export function amount(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError("A number of at least 0 is needed.");
}

/** Parser of comma-separated numbers. */
export function numberList(text: string): number[] {
  const values = text.split(",").map((word) => (word.trim() === "" ? Number.NaN : Number(word)));
  if (values.every(Number.isFinite)) return values;
  throw new InvalidArgumentError("Numbers are needed, separated by commas: 0.7,-0.3.");
}

/** Parser of comma-separated numbers above 0. */
export function positiveList(text: string): number[] {
  const values = numberList(text);
  if (values.every((value) => value > 0)) return values;
  throw new InvalidArgumentError("Numbers above 0 are needed, separated by commas: 0.5,1,2.");
}
