import { stat } from "node:fs/promises";
import { FormatError } from "../core/errors.ts";
import type { WeightFiles } from "../onnx/index.ts";

/**
 * Session settings with which ONNX Runtime maps the files of a model into memory instead of reading them. Its blocked
 * layouts would be private copies: decision 018.
 */
export const mappingSettings = ({ folder }: WeightFiles) => ({
  model_external_initializers_file_folder_path: folder,
  disable_prepacking: "1",
});

/** Throws FormatError for a file that is gone or too short: reading beyond the end of a mapped file ends the process. */
export async function checkWeightFiles({ sizes }: WeightFiles): Promise<void> {
  for (const [path, bytes] of Object.entries(sizes)) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      throw new FormatError(`${path}, which holds weights of this program, cannot be read (${error.code}).`);
    });
    if (found.size < bytes) {
      throw new FormatError(
        `${path}: the weights of this program end at byte ${bytes}, but the file has ${found.size}: it was cut since it was opened. Restore it, or read the weights again.`,
      );
    }
  }
}
