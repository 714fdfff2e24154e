/** Equations, small and sparse, and the assignment of rows to columns. */

/** Solve matrix x = side by elimination with row exchange; a direction without information gives 0. */
export function solveSmall(matrix: readonly (readonly number[])[], side: readonly number[]): number[] {
  const n = side.length;
  const rows = matrix.map((row, i) => [...row, side[i]!]);
  for (let k = 0; k < n; k++) {
    let best = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(rows[i]![k]!) > Math.abs(rows[best]![k]!)) best = i;
    [rows[k], rows[best]] = [rows[best]!, rows[k]!];
    const pivot = rows[k]![k]!;
    if (Math.abs(pivot) < 1e-12) continue;
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = rows[i]![k]! / pivot;
      for (let j = k; j <= n; j++) rows[i]![j]! -= factor * rows[k]![j]!;
    }
  }
  return rows.map((row, i) => (Math.abs(row[i]!) < 1e-12 ? 0 : row[n]! / row[i]!));
}

/** Symmetric and positive definite: the diagonal, and each pair of neighbours once. */
export interface Sparse {
  readonly diagonal: Float64Array;
  /** Rows i < j and the entry at (i, j). */
  readonly pairs: readonly (readonly [i: number, j: number, value: number])[];
}

/** Cholesky's decomposition within the envelope, in an order in which neighbours are near (Cuthill and McKee 1969). */
export class Cholesky {
  readonly #order: Int32Array;
  readonly #first: Int32Array;
  readonly #rows: Float64Array[];

  constructor({ diagonal, pairs }: Sparse) {
    const n = diagonal.length;
    const near: [number, number][][] = Array.from({ length: n }, () => []);
    for (const [i, j, value] of pairs) {
      near[i]!.push([j, value]);
      near[j]!.push([i, value]);
    }
    this.#order = nearOrder(near);
    const place = new Int32Array(n);
    this.#order.forEach((node, k) => (place[node] = k));
    this.#first = new Int32Array(n);
    this.#rows = Array.from(this.#order, (node, k) => {
      const first = near[node]!.reduce((least, [other]) => Math.min(least, place[other]!), k);
      this.#first[k] = first;
      const row = new Float64Array(k - first + 1);
      for (const [other, value] of near[node]!) if (place[other]! < k) row[place[other]! - first] = value;
      row[k - first] = diagonal[node]!;
      return row;
    });
    for (let k = 0; k < n; k++) this.#decompose(k);
  }

  #decompose(k: number): void {
    const row = this.#rows[k]!;
    const first = this.#first[k]!;
    for (let j = first; j <= k; j++) {
      const other = this.#rows[j]!;
      const begin = Math.max(first, this.#first[j]!);
      let sum = row[j - first]!;
      for (let m = begin; m < j; m++) sum -= row[m - first]! * other[m - this.#first[j]!]!;
      row[j - first] = j === k ? Math.sqrt(Math.max(sum, 1e-30)) : sum / other[j - this.#first[j]!]!;
    }
  }

  solve(side: Float64Array): Float64Array {
    const n = side.length;
    const x = Float64Array.from(this.#order, (node) => side[node]!);
    for (let k = 0; k < n; k++) {
      const [row, first] = [this.#rows[k]!, this.#first[k]!];
      let sum = x[k]!;
      for (let m = first; m < k; m++) sum -= row[m - first]! * x[m]!;
      x[k] = sum / row[k - first]!;
    }
    for (let k = n - 1; k >= 0; k--) {
      const [row, first] = [this.#rows[k]!, this.#first[k]!];
      x[k]! /= row[k - first]!;
      for (let m = first; m < k; m++) x[m]! -= row[m - first]! * x[k]!;
    }
    const solved = new Float64Array(n);
    this.#order.forEach((node, k) => (solved[node] = x[k]!));
    return solved;
  }
}

/** Breadth first from an outer node, few neighbours first. */
function nearOrder(near: readonly (readonly [number, number][])[]): Int32Array {
  const order: number[] = [];
  const seen = new Uint8Array(near.length);
  const spread = (start: number): void => {
    seen[start] = 1;
    order.push(start);
    for (let k = order.length - 1; k < order.length; k++) {
      const fresh = near[order[k]!]!.map(([other]) => other).filter((other) => !seen[other]);
      fresh.sort((a, b) => near[a]!.length - near[b]!.length);
      for (const other of fresh) {
        if (seen[other]) continue;
        seen[other] = 1;
        order.push(other);
      }
    }
  };
  for (let start = 0; start < near.length; start++) {
    if (seen[start]) continue;
    const begin = order.length;
    spread(start);
    // Again from the farthest node: a figure is passed through from one end to the other.
    const part = order.splice(begin);
    for (const node of part) seen[node] = 0;
    spread(part.at(-1)!);
  }
  return Int32Array.from(order);
}

/** The column of each row at the least total cost (Kuhn 1955, by shortest augmenting paths); at least as many columns. */
export function assign(costs: readonly (readonly number[])[]): number[] {
  const [n, m] = [costs.length, costs[0]?.length ?? 0];
  const u = new Float64Array(n + 1);
  const v = new Float64Array(m + 1);
  const rowOf = new Int32Array(m + 1);
  for (let row = 1; row <= n; row++) {
    rowOf[0] = row;
    const least = new Float64Array(m + 1).fill(Infinity);
    const before = new Int32Array(m + 1);
    const used = new Uint8Array(m + 1);
    let column = 0;
    do {
      used[column] = 1;
      const i = rowOf[column]!;
      let [delta, next] = [Infinity, 0];
      for (let j = 1; j <= m; j++) {
        if (used[j]) continue;
        const reduced = costs[i - 1]![j - 1]! - u[i]! - v[j]!;
        if (reduced < least[j]!) [least[j], before[j]] = [reduced, column];
        if (least[j]! < delta) [delta, next] = [least[j]!, j];
      }
      for (let j = 0; j <= m; j++) {
        if (used[j]) {
          u[rowOf[j]!]! += delta;
          v[j]! -= delta;
        } else least[j]! -= delta;
      }
      column = next;
    } while (rowOf[column] !== 0);
    while (column) {
      const from = before[column]!;
      rowOf[column] = rowOf[from]!;
      column = from;
    }
  }
  const found = new Array<number>(n).fill(-1);
  for (let j = 1; j <= m; j++) if (rowOf[j]) found[rowOf[j]! - 1] = j - 1;
  return found;
}
