import type { Credential } from './credential.ts'
import type { Values } from './store.ts'

/** The credentials that templates may name: the one in use, the one before it, and the one that is to follow. */
export interface Slots {
  readonly current: Credential | null
  readonly previous: Credential | null
  readonly next: Credential | null
}
export type Slot = keyof Slots

// `{{` is a brace. A part without a slot is one of the current credential.
const reference = /\{\{|\{(?:(current|previous|next)\.)?([A-Za-z][A-Za-z0-9]*)\}/g

/** What a template names: `{user}` is `{current.user}`. */
export function referencesIn(template: string): { readonly slot: Slot; readonly part: string }[] {
  return [...template.matchAll(reference)].flatMap(([, slot, part]) =>
    part === undefined ? [] : [{ slot: (slot ?? 'current') as Slot, part }],
  )
}

/**
 * What is to stand under each name of a store. A template that names an empty slot gives null: the name is removed.
 *
 * @example
 * render({ DSN: 'postgres://{user}:{password}@db/app' }, { current: { id: 'app_b', parts: { user: 'app_b', password: 'x' } }, previous: null, next: null })
 * // { DSN: 'postgres://app_b:x@db/app' }
 */
export function render(templates: { readonly [name: string]: string }, slots: Slots): Values {
  return Object.fromEntries(Object.entries(templates).map(([name, template]) => [name, renderOne(template, slots)]))
}

function renderOne(template: string, slots: Slots): string | null {
  if (referencesIn(template).some(({ slot }) => slots[slot] === null)) return null
  return template.replace(reference, (found, slot: Slot | undefined, part: string | undefined) =>
    part === undefined ? found.slice(1) : (slots[slot ?? 'current']?.parts[part] ?? ''),
  )
}
