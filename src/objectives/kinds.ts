// Written by npm run gen from the files of this folder.
import { ddpo } from "./ddpo.ts";
import type { ObjectiveKind } from "./objective.ts";
import { residualNablaDb } from "./residual-nabla-db.ts";

export const objectiveKinds: readonly ObjectiveKind[] = [ddpo, residualNablaDb];
