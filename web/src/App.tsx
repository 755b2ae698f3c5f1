import { signal } from "@preact/signals";
import { Download, FileUp, Info, Keyboard, LogOut, ShieldCheck } from "lucide";
import { useEffect, useRef } from "preact/hooks";

import * as api from "./api/client";
import { FilmView } from "./film/FilmView";
import icon from "./icon.svg";
import { help, onKey } from "./keys";
import { Worklist } from "./list/Worklist";
import { Panel } from "./panel/Panel";
import { listenOnlyWhileShown, live } from "./state/channel";
import { unsavedFilms } from "./state/correction";
import { open, openAgain, opened } from "./state/film";
import { mustSignIn } from "./state/messages";
import { card, fetchCard, introduce, service, signedIn, signOut } from "./state/service";
import { forgetReaderWithOthers } from "./state/settings";
import { sent, upload } from "./state/uploads";
import { type Pane, pane } from "./state/view";
import { loaded, refresh } from "./state/worklist";
import { DownloadLink } from "./ui/DownloadLink";
import { DropZone } from "./ui/DropZone";
import { HelpDialog } from "./ui/HelpDialog";
import { Icon } from "./ui/Icon";
import { IconButton } from "./ui/IconButton";
import { Messages } from "./ui/Messages";
import { ModelDialog } from "./ui/ModelDialog";
import { SignInDialog } from "./ui/SignInDialog";

type Shown = "help" | "model" | null;
const PANES: [Pane, string][] = [
  ["list", "Films"],
  ["film", "Image"],
  ["finding", "Finding"],
];

const NOTICE =
  "Research software. Not a medical device: never use it to diagnose, treat or triage a patient.";

const shown = signal<Shown>(null);

async function start(): Promise<void> {
  if (!(await introduce())) return;
  await refresh();
  const asked = filmInAddress();
  if (asked) await open(asked);
}

export function App() {
  useEffect(() => {
    help.toggle = () => {
      shown.value = shown.value === "help" ? null : "help";
    };
    window.addEventListener("keydown", onKey);
    window.addEventListener("hashchange", () => void open(filmInAddress()));
    window.addEventListener("beforeunload", (event) => {
      if (unsavedFilms.value.size || sent.value !== null) event.preventDefault();
    });
    listenOnlyWhileShown();
    forgetReaderWithOthers();
    void start();
  }, []);
  const lost = useRef(false);
  useEffect(() => {
    if (live.value && lost.current) {
      void fetchCard();
      void openAgain();
    }
    lost.current = loaded.value && !live.value;
  }, [live.value]);
  useEffect(() => {
    follow(opened.value);
    pane.value = opened.value ? "film" : "list";
  }, [opened.value]);
  return (
    <>
      <Header />
      <div class="room" data-pane={pane.value}>
        <Worklist />
        <FilmView />
        <Panel />
      </div>
      <Panes />
      <footer class="notice">{service.value?.notice ?? NOTICE}</footer>
      <Messages />
      <DropZone />
      {shown.value === "help" && <HelpDialog onClose={close} />}
      {shown.value === "model" && card.value && <ModelDialog card={card.value} onClose={close} />}
      {mustSignIn.value && <SignInDialog onDone={start} />}
    </>
  );
}

/** On narrow screens, where one part is seen at a time: which. */
function Panes() {
  return (
    <nav class="panes" aria-label="Parts of the page">
      {PANES.map(([name, label]) => (
        <button
          key={name}
          type="button"
          aria-pressed={pane.value === name}
          onClick={() => {
            pane.value = name;
          }}
        >
          {label}
        </button>
      ))}
    </nav>
  );
}

function Header() {
  const input = useRef<HTMLInputElement>(null);
  return (
    <header class="header">
      <h1>
        <img src={icon} alt="" width={26} height={26} /> <span class="title">pleura</span>
      </h1>
      <button type="button" class="upload" onClick={() => input.current?.click()}>
        <Icon of={FileUp} /> Add films
      </button>
      <input
        ref={input}
        id="files"
        type="file"
        multiple
        hidden
        onChange={(event) => {
          const files = [...(event.currentTarget.files ?? [])];
          event.currentTarget.value = "";
          if (files.length) void upload(files);
        }}
      />
      {sent.value !== null && <progress aria-label="Upload" max={1} value={sent.value} />}
      <span class="spring" />
      {service.value?.deidentify && (
        <span class="fact deidentifies" title="De-identifies uploads">
          <Icon of={ShieldCheck} size={16} /> <span class="word">De-identifies</span>
        </span>
      )}
      <span class={`fact live ${live.value ? "on" : "off"}`} role="status">
        <span class="word">
          {live.value ? "Live" : loaded.value ? "Reconnecting" : "Connecting"}
        </span>
      </span>
      {card.value && (
        <button
          type="button"
          class="plain"
          title="What the model is, and is not"
          onClick={() => {
            shown.value = "model";
          }}
        >
          <Icon of={Info} size={16} />
          <span class="word">
            {card.value.name} {card.value.version}
          </span>
        </button>
      )}
      <DownloadLink
        class="plain"
        href={api.address.corrections}
        title="All corrected films as a corpus (zip)"
      >
        <Icon of={Download} size={16} /> <span class="word">Export corrections</span>
      </DownloadLink>
      {signedIn.value && (
        <button type="button" class="plain" title="Sign out" onClick={signOut}>
          <Icon of={LogOut} size={16} /> <span class="word">Sign out</span>
        </button>
      )}
      <IconButton icon={Keyboard} label="Keys" shortcut="?" onClick={help.toggle} />
    </header>
  );
}

function close(): void {
  shown.value = null;
}

/** Has the address follow the film: one step back from any film is the page without one. */
function follow(id: string | null): void {
  const before = filmInAddress();
  if (id === before || !loaded.value) return; // before the list is there, the address says what to open
  const address = id ? `#film=${id}` : location.pathname;
  if (id && !before) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

function filmInAddress(): string | null {
  return /^#film=([\w-]+)$/.exec(location.hash)?.[1] ?? null;
}
