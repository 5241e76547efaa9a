/** Views of matrices give the same rows whatever pieces they are read in. */
import { describe, expect, it } from 'vitest';
import {
  type Matrix,
  permuteRows,
  plus,
  readAll,
  rowChunks,
  sliceRows,
  stack,
  transpose,
} from '../src/checkpoint/matrix.ts';

/** values[row][column] = 100 · row + column + offset. */
function counted(rows: number, columns: number, offset = 0): Matrix {
  const read = (first: number, count: number) =>
    Float32Array.from(
      { length: count * columns },
      (_, i) => 100 * (first + Math.floor(i / columns)) + (i % columns) + offset,
    );
  return { rows, columns, read };
}

const rowsOf = (matrix: Matrix) =>
  Array.from({ length: matrix.rows }, (_, row) => [
    ...readAll(matrix).subarray(row * matrix.columns, (row + 1) * matrix.columns),
  ]);

const swapNeighbours = (row: number) => row ^ 1;

const VIEWS: readonly (readonly [string, Matrix, (readonly number[])[]])[] = [
  [
    'sliceRows',
    sliceRows(counted(9, 2), 3, 6),
    [
      [300, 301],
      [400, 401],
      [500, 501],
    ],
  ],
  [
    'stack',
    stack([counted(1, 2), counted(2, 2, 5), counted(1, 2, 7)]),
    [
      [0, 1],
      [5, 6],
      [105, 106],
      [7, 8],
    ],
  ],
  [
    'transpose',
    transpose(counted(2, 3)),
    [
      [0, 100],
      [1, 101],
      [2, 102],
    ],
  ],
  ['permuteRows', permuteRows(counted(4, 1), 2, swapNeighbours), [[100], [0], [300], [200]]],
  [
    'plus',
    plus(counted(2, 2), 1),
    [
      [1, 2],
      [101, 102],
    ],
  ],
];

describe.each(VIEWS)('%s', (_, matrix, expected) => {
  it('gives its rows', () => expect(rowsOf(matrix)).toEqual(expected));

  it.each([1, 2, 3])('gives the same in chunks of %i rows', (rows) => {
    const chunks = [...rowChunks(matrix, rows * matrix.columns)];
    expect(chunks.length).toBe(Math.ceil(matrix.rows / rows));
    expect(chunks.flatMap((chunk) => [...chunk])).toEqual(expected.flat());
  });
});

it('chunks have one row at least, however wide it is', () => {
  expect([...rowChunks(counted(2, 50), 10)].map((chunk) => chunk.length)).toEqual([50, 50]);
});
