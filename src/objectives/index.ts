export { adjointMatching } from "./adjoint-matching.ts";
export { dagDb } from "./dag-db.ts";
export { ddpo } from "./ddpo.ts";
export { flowGrpo } from "./flow-grpo.ts";
export { objectiveKinds } from "./kinds.ts";
export * from "./objective.ts";
export { residualDb } from "./residual-db.ts";
export { residualNablaDb } from "./residual-nabla-db.ts";
export { trajectoryBalance } from "./trajectory-balance.ts";
