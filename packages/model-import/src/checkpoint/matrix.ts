/**
 * Weights as rows that are read when they are wanted, a few at a time, in float32: no tensor is ever in memory whole but
 * the small ones. Views put matrices together without copying them first.
 */

export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** Rows [first, first + count), row-major. The caller may keep the array. */
  read(first: number, count: number): Float32Array; // [count, columns]
}

/** All of it. For vectors and what must be in memory whole. */
export function readAll(matrix: Matrix): Float32Array {
  return matrix.read(0, matrix.rows);
}

/** Chunks of whole rows, of at most `maxValues` values (one row at least). */
export function* rowChunks(matrix: Matrix, maxValues: number): Generator<Float32Array> {
  const step = Math.max(1, Math.floor(maxValues / matrix.columns));
  for (let first = 0; first < matrix.rows; first += step) {
    yield matrix.read(first, Math.min(step, matrix.rows - first));
  }
}

/** Rows [from, to) of a matrix. */
export function sliceRows(matrix: Matrix, from: number, to: number): Matrix {
  return { rows: to - from, columns: matrix.columns, read: (first, count) => matrix.read(from + first, count) };
}

/** One below the other. */
export function stack(parts: readonly [Matrix, ...Matrix[]]): Matrix {
  const { columns } = parts[0];
  return {
    rows: parts.reduce((sum, part) => sum + part.rows, 0),
    columns,
    read(first, count) {
      const values = new Float32Array(count * columns);
      let partStart = 0;
      for (const part of parts) {
        const from = Math.max(first, partStart);
        const to = Math.min(first + count, partStart + part.rows);
        if (from < to) values.set(part.read(from - partStart, to - from), (from - first) * columns);
        partStart += part.rows;
      }
      return values;
    },
  };
}

/** Every read reads all of `matrix`: for the small ones of architectures that store inputs first. */
export function transpose(matrix: Matrix): Matrix {
  const { rows: columns, columns: rows } = matrix;
  return {
    rows,
    columns,
    read(first, count) {
      const source = readAll(matrix);
      const values = new Float32Array(count * columns);
      for (let row = 0; row < count; row++) {
        for (let column = 0; column < columns; column++) {
          values[row * columns + column] = source[column * rows + first + row]!;
        }
      }
      return values;
    },
  };
}

/** Row `i` of the result is row `sourceOf(i)`; both stay within the same group of `groupRows` rows. */
export function permuteRows(matrix: Matrix, groupRows: number, sourceOf: (row: number) => number): Matrix {
  const { rows, columns } = matrix;
  return {
    rows,
    columns,
    read(first, count) {
      const groupStart = Math.floor(first / groupRows) * groupRows;
      const groupEnd = Math.min(rows, Math.ceil((first + count) / groupRows) * groupRows);
      const source = matrix.read(groupStart, groupEnd - groupStart);
      const values = new Float32Array(count * columns);
      for (let row = 0; row < count; row++) {
        const from = (sourceOf(first + row) - groupStart) * columns;
        values.set(source.subarray(from, from + columns), row * columns);
      }
      return values;
    },
  };
}

/** Every value plus `offset`. */
export function plus(matrix: Matrix, offset: number): Matrix {
  return { ...matrix, read: (first, count) => matrix.read(first, count).map((value) => value + offset) };
}
