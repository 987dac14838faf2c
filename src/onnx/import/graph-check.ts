import type { GraphProto } from "onnx-buf";
import { FormatError } from "../../core/errors.ts";

/**
 * ONNX wants every value made once, and before it is used. Throws FormatError for a value that is made twice, one that is
 * never made, one that is used before it is made (so for every cycle), and for sparse tensors.
 */
export function checkGraph(graph: GraphProto, name: string): void {
  const fail = (rule: string): never => {
    throw new FormatError(`${name}: ${rule}`);
  };
  const quoted = JSON.stringify;
  if (graph.sparseInitializer.length > 0) fail("stored tensors must be dense, but some are sparse.");

  const made = new Set<string>();
  const make = (value: string) => {
    if (made.has(value)) fail(`every value has one source, but ${quoted(value)} has two.`);
    made.add(value);
  };
  for (const { name: value } of graph.initializer) make(value);
  const stored = new Set(made); // files of before IR version 4 name stored tensors among the inputs too
  const inputs = new Set<string>();
  for (const { name: value } of graph.input) {
    if (inputs.has(value)) fail(`every value has one source, but ${quoted(value)} is an input twice.`);
    inputs.add(value);
    if (!stored.has(value)) make(value);
  }
  const later = new Set(graph.node.flatMap(({ output }) => output));
  for (const [k, { opType, name: own, input, output }] of graph.node.entries()) {
    for (const value of input) {
      if (value === "" || made.has(value)) continue;
      const which = `node ${k} (${opType}${own && `, ${quoted(own)}`})`;
      if (later.has(value)) fail(`${which} uses ${quoted(value)} before it is made: out of order, or a cycle.`);
      fail(`${which} uses ${quoted(value)}, which nothing makes.`);
    }
    for (const value of output) if (value !== "") make(value);
  }
  for (const { name: value } of graph.output)
    if (!made.has(value)) fail(`the graph gives out ${quoted(value)}, which nothing makes.`);
}
