import { GROUPS } from "../keys";
import { set, settings } from "../state/settings";
import { Dialog } from "./Dialog";

const NAMES: Record<string, string> = {
  " ": "Space",
  "1": "1 … 9",
  ArrowDown: "↓",
  ArrowUp: "↑",
  Escape: "Esc",
};

export function HelpDialog({ onClose }: { onClose: () => void }) {
  const { singleKeys } = settings.value;
  return (
    <Dialog title="Keys" onClose={onClose}>
      <div class="keys">
        {GROUPS.map((group) => (
          <section key={group.title}>
            <h3>{group.title}</h3>
            <dl>
              {group.keys
                .filter((key) => key.does)
                .map((key) => (
                  <div key={key.does}>
                    <dt>
                      {key.keys.map((name) => (
                        <kbd key={name}>{shownAs(name)}</kbd>
                      ))}
                    </dt>
                    <dd>{key.does}</dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
        <section>
          <h3>On the film</h3>
          <p>
            Arrow keys move the film; with Shift they set window and level. While measuring or
            drawing they move the crosshair, with Alt by a single pixel. The wheel zooms, the middle
            button moves, the right button zooms. Two fingers move and zoom.
          </p>
          <label class="switch">
            <input
              type="checkbox"
              checked={singleKeys}
              onChange={() => set({ singleKeys: !singleKeys })}
            />
            Keys without Ctrl are used
          </label>
        </section>
      </div>
    </Dialog>
  );
}

function shownAs(name: string): string {
  if (name in NAMES) return NAMES[name] as string;
  return name.length === 1
    ? name.toUpperCase()
    : name.replace(/\+(\w)$/, (_, key: string) => `+${key.toUpperCase()}`);
}
