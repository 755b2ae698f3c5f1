/** Moves the keyboard's focus to an element; where what had it makes way, it would be lost. */
export function focus(id: string): void {
  document.getElementById(id)?.focus();
}
