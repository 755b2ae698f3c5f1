/** What the browser keeps for the page: plain objects, and nothing where it keeps none (private windows). */

export function keep(storage: () => Storage, key: string, value: object): void {
  try {
    storage().setItem(key, JSON.stringify(value));
  } catch {
    // then it is gone with the page
  }
}

/** What was kept, whose fields are yet to be looked at: anybody may have changed them. */
export function kept(storage: () => Storage, key: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(storage().getItem(key) ?? "{}");
    return value !== null && typeof value === "object" ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
