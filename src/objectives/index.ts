export { ddpo } from "./ddpo.ts";
export * from "./objective.ts";
export { residualNablaDb } from "./residual-nabla-db.ts";
