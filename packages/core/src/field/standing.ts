import { fail } from '../errors.ts'
import type { Stored } from './codec.ts'
import { type FoundValue, findValues, isDocument, splice } from './document.ts'
import type { Field } from './field.ts'

/** The one value of a field in what its column holds: a whole column, or one string of a document. */
export type Standing =
  | {
      readonly is: 'value'
      readonly stored: Stored
      /** What the column holds with another value in its place: everything around it stays. */
      put(sealed: Stored): Stored
    }
  /** NULL in a column of its own. */
  | { readonly is: 'nothing'; put(sealed: Stored): Stored }
  /** No value, or more than one: nothing can be put there. The sentence holds nothing of what stands there. */
  | { readonly is: 'fault'; readonly sentence: string }

/**
 * Where the one value of a field stands, for whoever changes a single row. The path of a field may fit several places of a document, with `*` or by what
 * stands beside them: here it must fit one.
 *
 * @param held - what the column holds; a document as its text
 * @param inDocument - whether the column holds documents: by its type, or because the field has a path
 */
export function standingOf(field: Field, held: Stored | null, inDocument: boolean): Standing {
  const whole = (sealed: Stored) => sealed
  if (!inDocument) return held === null ? { is: 'nothing', put: whole } : { is: 'value', stored: held, put: whole }
  const path = field.location.path ?? []
  if (held === null) return fault('its document is not there (NULL)')
  if (typeof held !== 'string' || !isDocument(held, path)) return fault('what stands there is no document')
  const found = findValues(held, path, field.where).filter((spot) => isOwn(field, spot))
  const [spot] = found
  if (spot === undefined) return fault('its document has no value at the place of the field')
  if (found.length > 1) return fault('its document has several values at the places of the field')
  const { start, end, value } = spot
  if (value === null) return fault('what stands at the place in its document is no string')
  return {
    is: 'value',
    stored: value,
    put: (sealed) => {
      if (typeof sealed !== 'string')
        throw fail('ERR_CONFIG', `field "${field.name}"`, 'a document holds text, and the format writes bytes')
      return splice(held, [{ start, end, value: sealed }])
    },
  }
}

const fault = (sentence: string): Standing => ({ is: 'fault', sentence })

/** A field that takes only what is encrypted leaves all other strings alone. */
const isOwn = (field: Field, { value }: FoundValue): boolean =>
  field.only === null || value === null || field.isKept(value) || field.claims(value)
