// Axes that end and step at round numbers.

/** Round steps from 0 to at least `most`: [0, 25, 50, 75, 100]. */
export function roundTicks(most, wanted = 4) {
  if (!(most > 0)) return [0, 1];
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((times) => times * power >= rough * 0.999) ?? 10);
  const ticks = [];
  for (let index = 0; index * step < most + step * 0.999; index += 1) ticks.push(Number((index * step).toPrecision(12)));
  return ticks.length > 1 ? ticks : [0, step];
}

/** Which of `count` labels are drawn, so that at most `most` are: the last always, the others at even distances. */
export function labelledSlots(count, most) {
  const every = Math.max(1, Math.ceil(count / Math.max(1, most)));
  const chosen = [];
  for (let index = count - 1; index >= 0; index -= every) chosen.unshift(index);
  return chosen;
}
