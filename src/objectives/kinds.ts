// Written by npm run gen from the files of this folder.
import { adjointMatching } from "./adjoint-matching.ts";
import { dagDb } from "./dag-db.ts";
import { dagKl } from "./dag-kl.ts";
import { ddpo } from "./ddpo.ts";
import { diffusionNft } from "./diffusion-nft.ts";
import { draft } from "./draft.ts";
import { draftLv } from "./draft-lv.ts";
import { flowGrpo } from "./flow-grpo.ts";
import { klControl } from "./kl-control.ts";
import { nablaDb } from "./nabla-db.ts";
import type { ObjectiveKind } from "./objective.ts";
import { refl } from "./refl.ts";
import { residualDb } from "./residual-db.ts";
import { residualNablaDb } from "./residual-nabla-db.ts";
import { trajectoryBalance } from "./trajectory-balance.ts";
import { vggFlow } from "./vgg-flow.ts";

export const objectiveKinds: readonly ObjectiveKind[] = [
  adjointMatching,
  dagDb,
  dagKl,
  ddpo,
  diffusionNft,
  draft,
  draftLv,
  flowGrpo,
  klControl,
  nablaDb,
  refl,
  residualDb,
  residualNablaDb,
  trajectoryBalance,
  vggFlow,
];
