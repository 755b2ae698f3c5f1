import type { IconNode } from "lucide";

import { Icon } from "./Icon";

interface Given {
  icon: IconNode;
  label: string;
  /** The key that does the same, as shown to the reader. */
  shortcut?: string;
  pressed?: boolean;
  disabled?: boolean;
  onClick: () => void;
}

export function IconButton({ icon, label, shortcut, pressed, disabled, onClick }: Given) {
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={label}
      aria-pressed={pressed}
      aria-keyshortcuts={shortcut}
      title={shortcut ? `${label} (${shortcut})` : label}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon of={icon} />
    </button>
  );
}
