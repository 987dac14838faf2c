// Written by npm run gen from the files of this folder.
import { diffusers } from "./diffusers.ts";
import { gaussianMixtureKind } from "./gaussian-mixture.ts";
import type { ModelKind } from "./kind.ts";
import { onnxModel } from "./onnx.ts";

export const modelKinds: readonly ModelKind[] = [diffusers, gaussianMixtureKind, onnxModel];
