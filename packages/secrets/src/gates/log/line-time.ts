const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const LOOKED_AT = 300

const iso = /(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,3})\d*)?\s?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?/
const common = /(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})/
const epoch = /"(?:time|ts|timestamp)"\s*:\s*"?(\d{13}|\d{10}(?:\.\d+)?)(?!\d)/

/**
 * When a line of a log was written, in milliseconds since 1970, by the forms that most have: ISO 8601 and RFC 3339 (Postgres, journald,
 * most libraries), the common log format of web servers, and seconds or milliseconds in JSON (pino). A time without a zone is one of this
 * machine's. Null where there is none.
 */
export function timeOf(line: string): number | null {
  const text = line.slice(0, LOOKED_AT)
  return fromIso(text) ?? fromCommon(text) ?? fromEpoch(text)
}

/** Whether the time of a line says no zone. */
export function isZoneless(line: string): boolean {
  const [found, , , , zone] = iso.exec(line.slice(0, LOOKED_AT)) ?? []
  return found !== undefined && zone === undefined
}

function fromIso(text: string): number | null {
  const [found, date, time, fraction = '0', zone = ''] = iso.exec(text) ?? []
  if (found === undefined) return null
  return valid(Date.parse(`${date}T${time}.${fraction.padEnd(3, '0')}${offset(zone)}`))
}

function fromCommon(text: string): number | null {
  const [found, day, month = '', year, time, zone = ''] = common.exec(text) ?? []
  if (found === undefined || !months.includes(month)) return null
  return valid(Date.parse(`${year}-${String(months.indexOf(month) + 1).padStart(2, '0')}-${day}T${time}${offset(zone)}`))
}

function fromEpoch(text: string): number | null {
  const digits = epoch.exec(text)?.[1]
  if (digits === undefined) return null
  return digits.length === 13 ? Number(digits) : Number(digits) * 1000
}

/** `+0200` and `+02` as `+02:00`. */
function offset(zone: string): string {
  const [, hours, minutes = '00'] = /^([+-]\d\d):?(\d\d)?$/.exec(zone) ?? []
  return hours === undefined ? (zone === '' ? '' : 'Z') : `${hours}:${minutes}`
}

const valid = (time: number): number | null => (Number.isNaN(time) ? null : time)
