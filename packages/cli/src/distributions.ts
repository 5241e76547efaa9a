/** Comparing rows of logits. */

/** KL(p ‖ q) in nats of the distributions that two rows of logits stand for. */
export function klDivergence(pLogits: Float32Array, qLogits: Float32Array): number {
  const [pLogSum, qLogSum] = [logSumExp(pLogits), logSumExp(qLogits)];
  let sum = 0;
  for (let i = 0; i < pLogits.length; i++) {
    const logP = pLogits[i]! - pLogSum;
    sum += Math.exp(logP) * (logP - (qLogits[i]! - qLogSum));
  }
  return sum;
}

/** The lowest index of the largest value. */
export function argmax(row: Float32Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}

function logSumExp(row: Float32Array): number {
  const largest = row[argmax(row)]!;
  let sum = 0;
  for (const value of row) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}
