/** Which rows of a long list are drawn. */

export interface Slice {
  first: number;
  /** One past the last. */
  end: number;
}

/**
 * The rows to draw: those in sight and `spare` above and below.
 *
 * @param top of the part in sight, px from the top of the list.
 */
export function slice(top: number, height: number, row: number, count: number, spare = 6): Slice {
  const first = Math.max(0, Math.floor(top / row) - spare);
  const end = Math.min(count, Math.ceil((top + height) / row) + spare);
  return { first: Math.min(first, end), end };
}

/** Where to scroll so that a row is in sight, or null where it already is. */
export function reveal(index: number, top: number, height: number, row: number): number | null {
  if (index * row < top) return index * row;
  if ((index + 1) * row > top + height) return (index + 1) * row - height;
  return null;
}
