// Written by npm run gen from the files of this folder.
import { adjointMatching } from "./adjoint-matching.ts";
import { dagDb } from "./dag-db.ts";
import { ddpo } from "./ddpo.ts";
import { flowGrpo } from "./flow-grpo.ts";
import type { ObjectiveKind } from "./objective.ts";
import { residualDb } from "./residual-db.ts";
import { residualNablaDb } from "./residual-nabla-db.ts";
import { trajectoryBalance } from "./trajectory-balance.ts";

export const objectiveKinds: readonly ObjectiveKind[] = [
  adjointMatching,
  dagDb,
  ddpo,
  flowGrpo,
  residualDb,
  residualNablaDb,
  trajectoryBalance,
];
