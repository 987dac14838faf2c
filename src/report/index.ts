import { join } from "node:path";
import { writeFileAtomic } from "../core/atomic-file.ts";
import { page } from "./page.ts";
import { readRun } from "./read-run.ts";

/**
 * Writes report.html into a run directory from the files that lie there: one page that needs nothing else, at most
 * 10 MB, the same bytes for the same files. A run that is not finished gets a page of what there is.
 *
 * @returns the path of report.html
 * @throws ConfigError if the directory holds no run, FormatError if one of its JSON files is damaged
 */
export async function writeReport(runDirectory: string): Promise<string> {
  const path = join(runDirectory, "report.html");
  await writeFileAtomic(path, page(await readRun(runDirectory)));
  return path;
}
