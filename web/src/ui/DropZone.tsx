import { signal } from "@preact/signals";
import { FileUp } from "lucide";
import { useEffect } from "preact/hooks";

import { dropped, upload } from "../state/uploads";
import { Icon } from "./Icon";

const over = signal(0); // how many nested elements the files are over

/** Files may be dropped anywhere. */
export function DropZone() {
  useEffect(() => {
    const ending = new AbortController();
    const { signal } = ending;
    const on = (name: string, act: (event: DragEvent) => void) =>
      window.addEventListener(name, (event) => act(event as DragEvent), { signal });
    on("dragenter", (event) => {
      if (event.dataTransfer?.types.includes("Files")) over.value++;
    });
    on("dragleave", () => {
      over.value = Math.max(0, over.value - 1);
    });
    on("dragover", (event) => event.preventDefault());
    on("drop", (event) => {
      event.preventDefault();
      over.value = 0;
      if (event.dataTransfer) void dropped(event.dataTransfer).then(take);
    });
    return () => ending.abort();
  }, []);
  if (over.value === 0) return null;
  return (
    <div class="dropzone" aria-hidden="true">
      <Icon of={FileUp} size={40} />
      <p>Drop films, folders or zips</p>
    </div>
  );
}

function take(files: File[]): void {
  if (files.length) void upload(files);
}
