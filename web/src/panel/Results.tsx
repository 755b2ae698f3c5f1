import { Download } from "lucide";

import { address } from "../api/client";
import type { Delivery, Film } from "../api/types";
import { service } from "../state/service";
import { DownloadLink } from "../ui/DownloadLink";
import { Icon } from "../ui/Icon";

const KINDS = [
  ["seg", "Segmentation", "The outline, for viewers that show DICOM segmentations"],
  ["sr", "Report", "A structured report (TID 1500)"],
  ["sc", "Picture", "The film with the finding drawn on it, for any viewer"],
] as const;

/** The finding as DICOM to take away, and where it has been sent. */
export function Results({ film }: { film: Film }) {
  if (film.format !== "dicom" || !film.finding || !service.value?.dicom_results) return null;
  const kinds = KINDS.filter(([kind]) => kind !== "seg" || film.state === "positive");
  return (
    <section class="results">
      <h3>As DICOM</h3>
      <p>
        {kinds.map(([kind, name, meaning]) => (
          <DownloadLink key={kind} href={address.dicom(film.id, kind)} title={meaning}>
            <Icon of={Download} size={14} /> {name}
          </DownloadLink>
        ))}
      </p>
      {film.deliveries.length > 0 && (
        <ul>
          {film.deliveries.map((one) => (
            <li key={one.destination} class={one.state}>
              {told(one)}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** What became of the results at one place. */
export function told({ destination, state, said }: Delivery): string {
  const more = said && `: ${said}`;
  if (state === "sent") return `Sent to ${destination}${more}`;
  if (state === "dropped") return `Not for ${destination}${more}`;
  return `Waits for ${destination}${more}`;
}
