import type { VNode } from "preact";
import { beforeEach, expect, it, vi } from "vitest";

const element = vi.hoisted(() => ({ current: null as { showModal: () => void } | null }));

// A dialog's element without a browser: what is drawn is looked at as it was written.
vi.mock("preact/hooks", () => ({ useRef: () => element, useEffect: () => {} }));
vi.mock("@preact/signals", async (original) => {
  const signals = await original<typeof import("@preact/signals")>();
  return { ...signals, useSignal: signals.signal };
});

const showModal = vi.fn();

beforeEach(() => {
  showModal.mockClear();
  element.current = { showModal };
});

/** The browser closes the dialog by itself. */
function close(dialog: VNode): void {
  (dialog.props as unknown as { onClose: () => void }).onClose();
}

it("for signing in is opened again when the browser closes it, until it is gone", async () => {
  const { Dialog } = await import("../src/ui/Dialog");
  const { SignInDialog } = await import("../src/ui/SignInDialog");
  const given = SignInDialog({ onDone: async () => {} }).props;
  const dialog = Dialog(given as unknown as Parameters<typeof Dialog>[0]);
  close(dialog);
  expect(showModal).toHaveBeenCalledOnce();
  element.current = null;
  close(dialog);
  expect(showModal).toHaveBeenCalledOnce();
});

it("that may be closed is gone then, and not merely out of sight", async () => {
  const { Dialog } = await import("../src/ui/Dialog");
  const onClose = vi.fn();
  const dialog = Dialog({ title: "Keys", onClose, children: null });
  close(dialog);
  expect(onClose).toHaveBeenCalledOnce();
  expect(showModal).not.toHaveBeenCalled();
  element.current = null; // closed by the page: nothing is to be done twice
  close(dialog);
  expect(onClose).toHaveBeenCalledOnce();
});
