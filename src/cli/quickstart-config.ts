import { type ConfigData, readConfigFile } from "../core/config.ts";
import { packagePath } from "../core/package-root.ts";

export const quickstartSource = "configs/quickstart.yaml";

/** The quickstart's configuration as it ships with the package. */
export const readQuickstart = (): Promise<ConfigData> => readConfigFile(packagePath(quickstartSource));

/** Its prompts, which also stand in for a model that has none of its own. */
export const quickstartPrompts = async (): Promise<string[]> => (await readQuickstart()).prompts as string[];
