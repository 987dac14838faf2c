import { ShapeError } from "../../core/errors.ts";
import { dtypeOfFirst } from "../dtypes.ts";
import { defineOperator } from "../operator.ts";

const givenAtRun = (name: string) => (): never => {
  throw new ShapeError(`${name} is a source of the graph and is never computed.`);
};

/** The same value, through which no gradient flows. */
defineOperator({
  name: "stopGradient",
  dtype: dtypeOfFirst,
  shape: ([x]) => x!.shape,
  reference: ([x]) => x!.data,
  vjp: () => [null],
  emit: (_, [x]) => x!,
  samples: () => [],
});

/** Sources are emitted by the graph compiler; they are registered so that every operator name is known. */
for (const name of ["input", "constant", "fill"]) {
  defineOperator({
    name,
    shape: givenAtRun(name),
    reference: givenAtRun(name),
    vjp: () => [],
    emit: givenAtRun(name),
    samples: () => [],
  });
}
