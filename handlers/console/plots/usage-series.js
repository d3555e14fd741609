// From the rows of /api/v1/usage to what plots draw.

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MOST_SERIES = 7;

export const number = (value) => (value === null || value === undefined || value === "" ? 0 : Number(value) || 0);
export const tokensOf = (row) => ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"].reduce((sum, name) => sum + number(row[name]), 0);
export const costOf = (row) => number(row.cost ?? row.cost_usd);
export const errorsOf = (row) => number(row.errors ?? row.failed);

/** The time axis: each UTC hour of the last day, or each UTC day. {key, label, title} */
export function timeSlots(unit, days, now = Date.now()) {
  const step = unit === "hour" ? HOUR : DAY;
  const total = unit === "hour" ? 24 : days;
  const last = Math.floor(now / step) * step;
  return Array.from({ length: total }, (_, index) => {
    const at = new Date(last - (total - 1 - index) * step);
    const iso = at.toISOString();
    if (unit === "hour") return { key: iso.slice(0, 13), label: iso.slice(11, 16), title: `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC` };
    const words = at.toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    return { key: iso.slice(0, 10), label: words, title: at.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" }) };
  });
}

/** Hours come as "2026-11-21T14:00Z" or "2026-11-21 14:00": what they begin with is the same but for the letter. */
export const slotKey = (row, unit) => String(row[unit] ?? "").replace(" ", "T").slice(0, unit === "hour" ? 13 : 10);

/** One series per group, the largest first; what is beyond the seventh is put together. */
export function groupedSeries(rows, { unit, group, slots, measure }) {
  const at = new Map(slots.map((slot, index) => [slot.key, index]));
  const found = new Map();
  for (const row of rows) {
    const index = at.get(slotKey(row, unit));
    if (index === undefined) continue;
    const name = row[group] || "(none)";
    if (!found.has(name)) found.set(name, new Array(slots.length).fill(0));
    found.get(name)[index] += measure(row);
  }
  const all = [...found].map(([name, values]) => ({ name, values, sum: values.reduce((sum, value) => sum + value, 0) }));
  all.sort((one, other) => other.sum - one.sum || one.name.localeCompare(other.name));
  const rest = all.splice(MOST_SERIES);
  if (rest.length) all.push({ name: `${rest.length} others`, values: slots.map((_, index) => rest.reduce((sum, { values }) => sum + values[index], 0)) });
  return all;
}

/** The same colour for a name in every plot: `order` is the series that decides who gets which. */
export function recolored(series, order) {
  const colors = new Map(order.map(({ name }, index) => [name, index]));
  return series.filter(({ values }) => values.some((value) => value)).map((each) => ({ ...each, color: colors.get(each.name) ?? MOST_SERIES }));
}

/** One value per slot, null where there is no row. */
export function plainSeries(rows, { unit, slots, measure }) {
  const values = new Array(slots.length).fill(null);
  const at = new Map(slots.map((slot, index) => [slot.key, index]));
  for (const row of rows) {
    const index = at.get(slotKey(row, unit));
    if (index !== undefined) values[index] = measure(row);
  }
  return values;
}
