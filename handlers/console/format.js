// Numbers, money and times as people read them. A value that nobody knows is an en dash, never a zero.

export const UNKNOWN = "–";

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

const known = (value) => value !== null && value !== undefined && value !== "" && Number.isFinite(Number(value));

export function count(value) {
  return known(value) ? whole.format(Number(value)) : UNKNOWN;
}

/** 1,234 stays; 12,345 becomes 12.3K. */
export function compact(value) {
  if (!known(value)) return UNKNOWN;
  return Math.abs(Number(value)) < 10_000 ? whole.format(Number(value)) : short.format(Number(value));
}

/** USD with as many digits as it takes to see something. */
export function money(value) {
  if (!known(value)) return UNKNOWN;
  const amount = Number(value);
  if (amount === 0) return "$0";
  const size = Math.abs(amount);
  if (size < 0.000001) return "< $0.000001";
  const digits = size >= 1 ? 2 : Math.min(6, Math.max(2, 2 - Math.floor(Math.log10(size))));
  const text = amount.toFixed(digits);
  return `$${size >= 1000 ? whole.format(Number(text)) : text}`;
}

/** USD for an axis, whose values are round. */
export const roundMoney = (value) => `$${Number(Number(value).toPrecision(6))}`;

/** A price in USD for a million tokens. */
export function price(value) {
  return known(value) ? `$${Number(Number(value).toFixed(4))}` : UNKNOWN;
}

export function milliseconds(value) {
  if (!known(value)) return UNKNOWN;
  const amount = Number(value);
  if (amount < 1000) return `${Math.round(amount)} ms`;
  if (amount < 60_000) return `${(amount / 1000).toFixed(amount < 10_000 ? 2 : 1)} s`;
  return `${Math.floor(amount / 60_000)} min ${Math.round((amount % 60_000) / 1000)} s`;
}

export function speed(tokens, ms) {
  if (!known(tokens) || !known(ms) || Number(ms) <= 0) return UNKNOWN;
  return rate((Number(tokens) * 1000) / Number(ms));
}

export function rate(perSecond) {
  if (!known(perSecond)) return UNKNOWN;
  return `${Number(perSecond) < 100 ? Number(perSecond).toFixed(1) : whole.format(Math.round(perSecond))} tok/s`;
}

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  return size < 1024 * 1024 ? `${Math.round(size / 1024)} KB` : `${(size / 1024 / 1024).toFixed(1)} MB`;
}

/** A moment: epoch seconds or an ISO text. Gives null where it is neither. */
export function moment(value) {
  if (!value && value !== 0) return null;
  const at = new Date(typeof value === "number" ? value * 1000 : value);
  return Number.isNaN(at.getTime()) ? null : at;
}

export function dateTime(value) {
  const at = moment(value);
  return at ? at.toLocaleString("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }) : UNKNOWN;
}

export function date(value) {
  const at = moment(value);
  return at ? at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" }) : UNKNOWN;
}

const STEPS = [[60, "second"], [60, "minute"], [24, "hour"], [30, "day"], [12, "month"], [Infinity, "year"]];

/** "3 minutes ago", "in 2 days". */
export function ago(value, now = Date.now()) {
  const at = moment(value);
  if (!at) return UNKNOWN;
  let amount = (at.getTime() - now) / 1000;
  if (Math.abs(amount) < 10) return "just now";
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [size, unit] of STEPS) {
    if (Math.abs(amount) < size) return words.format(Math.round(amount), unit);
    amount /= size;
  }
  return UNKNOWN;
}
