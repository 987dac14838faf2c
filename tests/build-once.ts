import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** Folder of this test run in which built-command.ts notes that dist/ is built. */
    buildNotes: string;
  }
}

export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "nablaflow-tests-"));
  project.provide("buildNotes", folder);
  return () => rmSync(folder, { recursive: true, force: true });
}
