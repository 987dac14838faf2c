import type { Runtime } from "../runtime/index.ts";
import type { Judges } from "./judges.ts";

/** The bundled feature network and agreement classifier. */
export async function openPictureJudges(_runtime: Runtime, _block: number): Promise<Judges> {
  throw new Error("not yet");
}
