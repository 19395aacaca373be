import { fail, nearest } from '@keyturn/core'

/** A format as flags name it: the codec and its options. */
export interface Format {
  readonly codec: string
  readonly [option: string]: string | number
}

/** Formats that flags can name, with the options they take. Others are named in a configuration. */
const known: Record<string, readonly string[]> = {
  'hex-colon': ['order', 'iv'],
  blob: ['encoding', 'order', 'iv'],
  kt1: [],
}

/**
 * Reads `hex-colon,order=iv.ct.tag,iv=16`.
 *
 * @throws `ERR_USAGE` with the nearest names
 */
export function parseFormat(text: string): Format {
  const [codec = '', ...pairs] = text.split(',').map((part) => part.trim())
  const options = Object.hasOwn(known, codec) ? known[codec] : undefined
  if (options === undefined) throw fail('ERR_USAGE', `there is no format "${codec}"${nearest(codec, Object.keys(known))}`)
  const format: Record<string, string | number> = { codec }
  for (const pair of pairs) {
    const [name = '', value = ''] = pair.split('=', 2)
    if (!options.includes(name)) throw fail('ERR_USAGE', `the format ${codec} has no option "${name}"${nearest(name, options)}`)
    if (value === '') throw fail('ERR_USAGE', `the option "${name}" of the format ${codec} needs a value: ${name}=…`)
    format[name] = /^[0-9]{1,4}$/.test(value) ? Number(value) : value
  }
  return format as Format
}
