import { X } from "lucide";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { IconButton } from "./IconButton";

interface Given {
  title: string;
  /** Not given of a dialog that stays until it has its answer. */
  onClose?: () => void;
  children: ComponentChildren;
}

/** A dialog above everything; the browser keeps the focus inside, Escape closes it, and the focus goes back. */
export function Dialog({ title, onClose, children }: Given) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
      onClose={() => {
        if (!element.current) return; // it is closed because it is gone
        if (onClose) onClose();
        else element.current.showModal(); // Chromium heeds `cancel` only once: a second Escape closes it
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose?.(); // beside it
      }}
    >
      <div class="dialog">
        <header>
          <h2>{title}</h2>
          {onClose && <IconButton icon={X} label="Close" onClick={onClose} />}
        </header>
        {children}
      </div>
    </dialog>
  );
}
