import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";

import * as api from "../api/client";
import { attempt } from "../state/messages";

interface Given {
  href: string;
  title: string;
  class?: string;
  children: ComponentChildren;
}

/** A link to a file of the service; asked for by one who must sign in first, the browser would tell of a failed download only. */
export function DownloadLink({ href, title, class: kind, children }: Given) {
  const link = useRef<HTMLAnchorElement>(null);
  const may = useRef(false);
  const follow = async (event: MouseEvent) => {
    if (may.current) {
      may.current = false;
      return;
    }
    event.preventDefault();
    may.current = (await attempt("It cannot be downloaded", api.service)) !== undefined;
    if (may.current) link.current?.click();
  };
  return (
    <a ref={link} href={href} download title={title} class={kind} onClick={follow}>
      {children}
    </a>
  );
}
