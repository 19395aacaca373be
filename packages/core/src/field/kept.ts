import { fail } from '../errors.ts'
import { wholeValue } from './whole-value.ts'

// Texts that have nothing in common but being text: a pattern that fits all of them describes nothing.
const anything = ['0', 'x', ' ', 'a b', '{"a":1}', 'https://a.example/b?c=d', 'Ключ 漢字', '0123456789abcdef'.repeat(4)]
// A value of our own format is never legal though unreadable: kept, it would be under its old key for ever.
const ours = [`kt1.aaaqeaye.${'EBESExQVFhcYGRobce0h'.repeat(3)}`, `kt2.bbbqeaye.${'x'.repeat(40)}`]

/**
 * The pattern of stored texts that a field leaves as they are, over the whole value.
 *
 * @param where - its place in the configuration, for messages
 * @throws `ERR_CONFIG` for what is no regular expression, what fits everything, and what fits values of Keyturn's own format
 */
export function keptPattern(pattern: unknown, where: string): RegExp {
  const whole = wholeValue(pattern, where, 'a value that stays as it is')
  if (anything.every((text) => whole.test(text))) throw fail('ERR_CONFIG', where, 'it matches everything: no value would be rotated')
  if (ours.some((text) => whole.test(text)))
    throw fail('ERR_CONFIG', where, 'it matches values that Keyturn writes: they would never be rotated')
  return whole
}
