import type { Credential } from '../secret/credential.ts'
import type { Rotator } from '../secret/rotator.ts'
import type { Outcome } from './outcome.ts'
import type { Facts } from './run.ts'

/** A shorter text would be found where it only happens to stand. */
const shortest = 6

/**
 * An outcome without the values of these credentials: what a part of the user's says is kept and shown, and it may repeat what it was given.
 *
 * @param credentials - those that the part was given; null for none
 */
export function scrubbed(outcome: Outcome, { parts }: Pick<Rotator, 'parts'>, credentials: readonly (Credential | null)[]): Outcome {
  const values = credentials
    .flatMap((credential) => Object.entries(credential?.parts ?? {}))
    .flatMap(([part, value]) => (parts[part] !== 'public' && value.length >= shortest ? formsOf(value) : []))
    // A long one first: another may be a part of it.
    .toSorted((one, other) => other.length - one.length)
  if (values.length === 0) return outcome
  const clean = (value: unknown): unknown => {
    if (typeof value === 'string') return values.reduce((text, secret) => text.replaceAll(secret, '…'), value)
    if (Array.isArray(value)) return value.map(clean)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [clean(name), clean(inner)]))
  }
  const cleaned = clean(outcome) as Outcome
  return {
    ...cleaned,
    ...('facts' in outcome && outcome.facts !== undefined ? { facts: factsOf(outcome.facts, clean) } : {}),
    ...(outcome.is === 'done' && outcome.credential !== undefined ? { credential: outcome.credential } : {}),
  } as Outcome
}

/** A sentence of a part without these values: it may repeat what it was given. */
export function scrubbedText(text: string, values: readonly string[]): string {
  const forms = values.filter(({ length }) => length >= shortest).flatMap(formsOf)
  return forms.toSorted((one, other) => other.length - one.length).reduce((clean, secret) => clean.replaceAll(secret, '…'), text)
}

/**
 * What gates and tasks say is cleaned. Ids and versions stay: a run knows by them what is its own, and a password may be the same word as the name
 * of its role.
 */
function factsOf(facts: Partial<Facts>, clean: (value: unknown) => unknown): Partial<Facts> {
  const { gates, task } = facts
  return { ...facts, ...(gates && { gates: clean(gates) as typeof gates }), ...(task && { task: clean(task) as typeof task }) }
}

/** How others write a value: in JSON, in an address, in a header. */
function formsOf(value: string): string[] {
  const bytes = Buffer.from(value)
  return [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value), bytes.toString('base64'), bytes.toString('base64url')]
}
