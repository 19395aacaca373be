import { z } from 'zod'
import { outside } from '../../outside/failure.ts'
import type { Finding } from '../../secret/call.ts'
import type { Held } from '../../secret/store.ts'

/** A name or an id as 1Password has them; a quotation mark could end a filter. */
const named = (what: string) => z.string().regex(/^[^"\0\r\n]{1,200}$/, { error: `expected the name or the id of ${what}` })

/** Where an item stands. */
export const itemOptions = { vault: named('a vault'), item: named('an item') }

export interface Field {
  readonly id: string
  readonly label?: string
  readonly type?: string
  readonly value?: string
  readonly section?: { readonly id: string; readonly label?: string }
}
export interface Item {
  readonly id: string
  readonly version?: number
  readonly sections?: readonly { readonly id: string; readonly label?: string }[]
  readonly fields?: readonly Field[]
}

export const isId = (text: string): boolean => /^[a-z0-9]{26}$/.test(text)

/** The one field with the label (or id) `credential`, or with `Section/credential` the one in that section. */
export function fieldOf(item: Item, name: string, where: string): Field {
  const fields = fieldsOf(item, name)
  const [field] = fields
  if (field !== undefined && fields.length === 1) return field
  throw outside('refused', where, `the item has ${fields.length === 0 ? 'no field' : 'several fields'} "${name}"`)
}

function fieldsOf({ fields = [], sections = [] }: Item, name: string): Field[] {
  const whole = fields.filter(({ id, label }) => id === name || label === name)
  const slash = name.indexOf('/')
  if (whole.length > 0 || slash < 0) return whole
  const inside = sections.filter(({ id, label }) => [id, label].includes(name.slice(0, slash))).map(({ id }) => id)
  const rest = name.slice(slash + 1)
  return fields.filter(({ id, label, section }) => inside.includes(section?.id ?? '') && (id === rest || label === rest))
}

/** What stands in the fields. A field without text holds nothing. */
export function heldIn(item: Item, names: readonly string[], where: string): { readonly [name: string]: Held } {
  return Object.fromEntries(
    names.map((name) => {
      const { value = '' } = fieldOf(item, name, where)
      return [name, value === '' ? null : { value }]
    }),
  )
}

/** Fields that are not there, or not once, and those that everybody can read over a shoulder. */
export function fieldFindings(item: Item, names: readonly string[], where: string): Finding[] {
  return names.flatMap((name): Finding[] => {
    const { length, 0: field } = fieldsOf(item, name)
    if (length === 0) return [{ severity: 'fault', sentence: `${where}: the item has no field "${name}". Make it, of the type "password"` }]
    if (length > 1)
      return [
        { severity: 'fault', sentence: `${where}: the item has several fields "${name}". Name it with its section: "SECTION/${name}"` },
      ]
    if (field?.type === 'CONCEALED') return []
    return [{ severity: 'warning', sentence: `${where}: the field "${name}" is shown in plain. Make it one of the type "password"` }]
  })
}
