/** Probability that a positive scores above a negative, ties counting half: the area under the ROC curve. */
export function auc(positives: ArrayLike<number>, negatives: ArrayLike<number>): number {
  const all = [
    ...Array.from(positives, (score) => ({ score, positive: 1 })),
    ...Array.from(negatives, (score) => ({ score, positive: 0 })),
  ].sort((a, b) => a.score - b.score);
  let below = 0; // negatives with a lower score
  let wins = 0;
  for (let start = 0; start < all.length; ) {
    let end = start;
    while (end < all.length && all[end]!.score === all[start]!.score) end++;
    const tied = all.slice(start, end);
    const tiedPositives = tied.reduce((sum, { positive }) => sum + positive, 0);
    const tiedNegatives = tied.length - tiedPositives;
    wins += tiedPositives * (below + tiedNegatives / 2);
    below += tiedNegatives;
    start = end;
  }
  return wins / (positives.length * negatives.length);
}
