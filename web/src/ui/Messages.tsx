import { X } from "lucide";

import { dismiss, messages } from "../state/messages";
import { IconButton } from "./IconButton";

/** What is told in passing; heard too. */
export function Messages() {
  return (
    <div class="messages" role="log" aria-live="polite" aria-label="Messages">
      {messages.value.map(({ id, text, kind }) => (
        <div key={id} class={`message ${kind}`}>
          <span>{text}</span>
          <IconButton icon={X} label="Dismiss" onClick={() => dismiss(id)} />
        </div>
      ))}
    </div>
  );
}
