const grouped = new Intl.NumberFormat('en-US')

/** `1,204` */
export const count = (n: number): string => grouped.format(n)
/** `1,204 values`, `1 value` */
export const counted = (n: number, noun: string): string => `${count(n)} ${noun}${n === 1 ? '' : 's'}`
/** `84 %`; never `100 %` or `0 %` for what is not quite all or nothing. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return '0 %'
  const exact = (part / whole) * 100
  if (part > 0 && exact < 0.1) return 'under 0.1 %'
  if (part < whole && exact > 99.9) return 'over 99.9 %'
  return `${exact < 10 || exact > 90 ? Number(exact.toFixed(1)) : Math.round(exact)} %`
}
/** `1.2 GB` */
export function bytes(n: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let [value, unit] = [n, 0]
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1]
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}
