/** Uploads: one after another, with their progress. */

import { signal } from "@preact/signals";

import * as api from "../api/client";
import { ApiError } from "../api/client";
import type { Job } from "../api/types";
import { unsaved } from "./correction";
import { open, opened } from "./film";
import { attempt, tell, untilSignedIn } from "./messages";
import { service } from "./service";
import { refresh } from "./worklist";

/** Share of the bytes sent, 0 to 1; null while nothing is sent. */
export const sent = signal<number | null>(null);

const NAMED = 3;
const OVERHEAD_BYTES = 1024; // of a file in a form

export async function upload(files: File[]): Promise<void> {
  const limits = service.value?.limits;
  const most = limits?.files_per_upload ?? Infinity;
  for (const part of parts(files, limits?.upload_bytes ?? Infinity, most)) await send(part);
}

/** Files in as few uploads as the service's limits allow; one that is too large alone is left to it to refuse. */
export function parts(files: File[], mostBytes: number, mostFiles: number): File[][] {
  const found: File[][] = [];
  let bytes = 0;
  for (const file of files) {
    const size = file.size + OVERHEAD_BYTES;
    const last = found.at(-1);
    if (last && last.length < mostFiles && bytes + size <= mostBytes) {
      last.push(file);
      bytes += size;
    } else {
      found.push([file]);
      bytes = size;
    }
  }
  return found;
}

async function send(files: File[]): Promise<void> {
  sent.value = 0;
  await attempt("The upload failed", async () => {
    try {
      const job = await sendAsReader(files);
      const { total, repeated } = job.films;
      const known = repeated ? `, ${repeated} of them known already` : "";
      tell(`${total} ${total === 1 ? "film" : "films"} received${known}.`);
      refuse(job.refused);
      await refresh();
      const first = job.film_ids[0];
      const wanted = opened.value === null || (total === 1 && !unsaved.value);
      if (first && wanted) void open(first);
    } catch (error) {
      if (!(error instanceof ApiError) || !error.problem.refused) throw error;
      refuse(error.problem.refused);
    }
  });
  sent.value = null;
}

/** Sends files; where the session has ended, once more after the next has begun. */
async function sendAsReader(files: File[]): Promise<Job> {
  const told = (share: number) => {
    sent.value = share;
  };
  for (;;) {
    try {
      return await api.upload(files, told);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      await untilSignedIn();
    }
  }
}

function refuse(refused: { name: string; reason: string }[]): void {
  for (const { name, reason } of refused.slice(0, NAMED)) tell(`${name} ${reason}`, "problem");
  const rest = refused.length - NAMED;
  if (rest > 0) tell(`${rest} more ${rest === 1 ? "file was" : "files were"} refused.`, "problem");
}

/** The files of a drop, folders opened. */
export async function dropped(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  const loose = [...transfer.files];
  const found = await Promise.all(entries.map((entry) => (entry ? within(entry) : [])));
  const files = found.flat();
  return files.length ? files : loose;
}

async function within(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    return [await new Promise<File>((done, no) => (entry as FileSystemFileEntry).file(done, no))];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    // a folder is told in parts, until an empty one
    const part = await new Promise<FileSystemEntry[]>((done, no) => reader.readEntries(done, no));
    if (part.length === 0) return files;
    for (const inner of part) files.push(...(await within(inner)));
  }
}
