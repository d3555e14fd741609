// Line icons, 20 by 20, drawn for this console. They are decoration: the name is always said by text or a label.

import { svg } from "./dom.js";

const PATHS = {
  playground: "M3 5.5A2.5 2.5 0 0 1 5.5 3h9A2.5 2.5 0 0 1 17 5.5v6a2.5 2.5 0 0 1-2.5 2.5H9l-4 3v-3A2 2 0 0 1 3 12zM7 7.5h6M7 10.5h4",
  compare: "M3.5 4h5.5v12H3.5zM11 4h5.500v12H11z",
  sessions: "M10 3a7 7 0 1 1-6.6 4.7M3 4v4h4M10 6.500V10l2.500 1.800",
  usage: "M3 3v14h14M7 13.500V10M10.500 13.500V6M14 13.500V8.500",
  backends: "M3.500 4h13v4.500h-13zM3.500 11.500h13V16h-13zM6.300 6.250h.01M6.300 13.750h.01M9 6.250h4.500M9 13.750h4.500",
  keys: "M12.500 3a4.500 4.500 0 1 1-3.900 6.700L3 15.300V17h3v-2h2v-2l1.400-1.400M13.500 6.500h.01",
  plus: "M10 4v12M4 10h12",
  send: "M10 16V4M5 9l5-5 5 5",
  stop: "M6 6h8v8H6z",
  attach: "M14.500 9.500 9.700 14.300a3 3 0 0 1-4.300-4.300l5.400-5.400a2 2 0 0 1 2.900 2.900l-5.300 5.300a1 1 0 0 1-1.500-1.500l4.700-4.700",
  copy: "M7.500 7.500h8v8h-8zM12.500 7.500v-3h-8v8h3",
  check: "m4.500 10.500 3.500 3.500 7.500-8",
  retry: "M16 10a6 6 0 1 1-1.800-4.300M16.500 3v3.500H13",
  settings: "M3.500 6h7M14.500 6h2M3.500 14h2M9.500 14h7M12.500 4v4M7.500 12v4",
  code: "m7 6-4 4 4 4M13 6l4 4-4 4",
  search: "M9 3.500a5.500 5.500 0 1 1 0 11 5.500 5.500 0 0 1 0-11M13 13l4 4",
  close: "m5 5 10 10M15 5 5 15",
  trash: "M4 6h12M8 6V4h4v2M5.500 6l.7 10.500h7.600L14.500 6M8.500 9v4.500M11.500 9v4.500",
  pencil: "m4 16 .8-3.200L13 4.600 15.400 7l-8.200 8.200zM11.500 6.100 13.900 8.500",
  chevron: "m6 8 4 4 4-4",
  sun: "M10 6.500a3.500 3.500 0 1 1 0 7 3.500 3.500 0 0 1 0-7M10 2v1.500M10 16.500V18M2 10h1.500M16.500 10H18M4.300 4.300l1 1M14.700 14.700l1 1M15.700 4.300l-1 1M5.300 14.700l-1 1",
  moon: "M16.500 11.800A7 7 0 0 1 8.200 3.500a7 7 0 1 0 8.300 8.300z",
  auto: "M3 4h14v9.500H3zM7.500 17h5M10 13.500V17",
  leave: "M8 3.500H4v13h4M8.500 10H17M13.500 6.500 17 10l-3.500 3.500",
  file: "M5 2.500h6.500L15 6v11.500H5zM11.500 2.500V6H15",
  alert: "M10 3 2.500 16.500h15zM10 8v4M10 14.300h.01",
  tool: "M12.500 3.500a4 4 0 0 0-3.800 5.300L3.500 14v2.500H6l5.200-5.200a4 4 0 0 0 5.300-4.600L14 9l-2.500-.500L11 6l2.300-2.500z",
  book: "M10 5C8.500 3.800 6 3.500 3.500 3.500v11.500c2.500 0 5 .300 6.500 1.500 1.500-1.200 4-1.500 6.500-1.500V3.500C14 3.500 11.500 3.800 10 5zM10 5v11.500",
};

/** The icon of that name. */
export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] }),
  );
}

/** The gateway's mark: a suspension bridge. */
export function mark() {
  return svg(
    "svg",
    { class: "mark", viewBox: "0 0 32 32", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: "M2 23h28M10 8v18M22 8v18M2 18.500c4-1 7-4.500 8-10.500 2 9.500 10 9.500 12 0 1 6 4 9.500 8 10.500" }),
    svg("path", { class: "mark-cables", d: "M5.500 17.300V23M14 14.700V23M18 14.700V23M26.500 17.300V23" }),
  );
}
