const minute = 60
const hour = 60 * minute
const day = 24 * hour
const steps: readonly (readonly [seconds: number, unit: Intl.RelativeTimeFormatUnit])[] = [
  [365 * day, 'year'],
  [30 * day, 'month'],
  [day, 'day'],
  [hour, 'hour'],
  [minute, 'minute'],
]
const coarse: readonly Intl.RelativeTimeFormatUnit[] = ['year', 'month']
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
const exactly = new Intl.DateTimeFormat('en-GB', {
  ...{ year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' },
  hourCycle: 'h23',
})
const onDay = new Intl.DateTimeFormat('en-GB', { year: 'numeric', month: 'short', day: 'numeric' })

/** `3 days ago`, `in 2 hours`, `just now` */
export function ago(at: Date, now: Date = new Date()): string {
  const seconds = (at.getTime() - now.getTime()) / 1000
  // From two of a unit on: "41 days ago" says more than "last month".
  const [size, unit] = steps.find(([size, each]) => Math.abs(seconds) >= size * (coarse.includes(each) ? 2 : 0.95)) ?? [0, 'second']
  if (size === 0) return Math.abs(seconds) < 10 ? 'just now' : relative.format(Math.round(seconds), 'second')
  return relative.format(Math.round(seconds / size), unit)
}
/** `21 Nov 2026, 19:20:25 UTC` */
export const exact = (at: Date): string => exactly.format(at)
/** `21 Nov 2026` */
export const dayOf = (at: Date): string => onDay.format(at)

/** `1 h 20 min`, `35 s`: how long something takes. */
export function lasting(seconds: number): string {
  if (seconds < 1) return 'under a second'
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  if (seconds < 90 * minute) return `${Math.round(seconds / minute)} min`
  if (seconds < 36 * hour) {
    const minutes = Math.round(seconds / minute)
    return minutes % 60 === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
  }
  return `${Math.round(seconds / day)} days`
}
