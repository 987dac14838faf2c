export { ddpo } from "./ddpo.ts";
export { objectiveKinds } from "./kinds.ts";
export * from "./objective.ts";
export { residualNablaDb } from "./residual-nabla-db.ts";
