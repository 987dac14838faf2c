/** Median and quartiles of milliseconds. */
export function quartiles(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  return { ms: at(0.5), low: at(0.25), high: at(0.75), runs: times.length };
}

/**
 * Adds what follows from a measured row. The share of the ceiling is the time that the row's products and convolutions would take at
 * the ceilings over the time it took: whatever else it does counts as lost.
 */
export function rowOf(row, { flops, parameters }, ceilings) {
  if (!flops) return row;
  const ideal = (flops.matmul / ceilings.matmul + flops.conv / ceilings.conv) / 1e6; // ms
  return { ...row, parameters, gflop: (flops.matmul + flops.conv) / 1e9, ceilingShare: ideal / row.ms };
}

/** Rows as a Markdown table; the times and memory of ours are also given over those of the peer's fastest and leanest way. */
export function showTable(rows) {
  const head = [
    "row",
    "by",
    "ms (quartiles)",
    "peak MiB",
    "ceiling",
    "time / best peer",
    "memory / leanest peer",
    "apart",
  ];
  const lines = rows.map((row) => {
    const peers = rows.filter(
      ({ network, work, by }) => network === row.network && work === row.work && by !== "nablaflow",
    );
    const against = (key) =>
      row.by === "nablaflow" && peers.length > 0
        ? (row[key] / Math.min(...peers.map((peer) => peer[key]))).toFixed(2)
        : "";
    return [
      `${row.network}/${row.work}`,
      row.by,
      `${row.ms.toFixed(1)} (${row.low.toFixed(1)}–${row.high.toFixed(1)})`,
      row.memory.toFixed(0),
      row.ceilingShare === undefined ? "" : `${(100 * row.ceilingShare).toFixed(0)} %`,
      against("ms"),
      against("memory"),
      row.difference === undefined ? "" : row.difference.toExponential(0),
    ];
  });
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
