import { fail } from '../errors.ts'

/**
 * A pattern over a whole value, from its first character to its last. Without `g` and `y`, whose `lastIndex` would make every second
 * test fail; and between look-arounds, because with `m` the anchors `^` and `$` would accept any value of which one line looks right.
 *
 * @param where - the place in the configuration, for messages
 * @param what - what the pattern describes, for messages
 * @throws `ERR_CONFIG` for what is no regular expression, or is anchored at one end only
 */
export function wholeValue(pattern: unknown, where: string, what: string): RegExp {
  const isPattern = pattern instanceof RegExp
  if (!isPattern && (typeof pattern !== 'string' || pattern === '')) {
    throw fail('ERR_CONFIG', where, `it is needed: a regular expression of what ${what} looks like`)
  }
  const source = isPattern ? pattern.source : pattern
  const flags = isPattern ? pattern.flags.replace(/[gy]/g, '') : 'u'
  if (source.startsWith('^') !== /(?<!\\)\$$/.test(source)) {
    throw fail('ERR_CONFIG', where, 'it describes the whole value: anchor both ends or none, and end with .* if anything may follow')
  }
  try {
    new RegExp(source, flags)
    return new RegExp(`(?<![^])(?:${source})(?![^])`, flags)
  } catch {
    throw fail('ERR_CONFIG', where, 'it is not a valid regular expression')
  }
}
