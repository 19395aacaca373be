import { scryptSync } from 'node:crypto'
import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import { printReference } from '../field/reference.ts'
import { candidates, type LiveKeyring } from '../keyring/live-keyring.ts'
import type { ColumnShape } from './database.ts'
import type { Planning, Survey } from './make-plan.ts'
import type { Plan, PlanFacts } from './plan.ts'
import type { TableWalk } from './walks.ts'

const unmade = 'not made yet'
const firstOnly = /^[a-z2-7]{8} active$/

/** What must still hold when a plan is carried out. Rows and bytes are none of it: they change while the application runs. */
export function factsOf(planning: Planning, tables: readonly TableWalk[], salt: string): PlanFacts {
  const { options, newVersion, fields, unmade: keyring } = planning
  const keyrings = new Map(
    fields.flatMap(({ keyring, reads }) => [keyring, ...reads.flatMap((read) => read.keyring ?? [])]).map((each) => [each.name, each]),
  )
  return {
    mode: options.mode ?? 'online',
    application: options.appStopped ? 'stopped' : 'may run',
    'new key version': newVersion ? 'made' : 'none',
    ...Object.fromEntries([...keyrings.values()].map((each) => keyFact(each, salt, each.name === keyring))),
    ...Object.fromEntries(fields.flatMap(fieldFacts)),
    ...Object.fromEntries(tables.flatMap(tableFacts)),
  }
}

type Fact = readonly [what: string, is: string]

function keyFact({ name, snapshot }: LiveKeyring, salt: string, isUnmade: boolean): Fact {
  if (isUnmade) return [`keyring "${name}": key versions`, unmade]
  if (snapshot.revision === 0) return [`keyring "${name}": keys of the environment`, keyDigest(snapshot, salt)]
  const versions = snapshot.versions.filter(({ state }) => state !== 'destroyed')
  return [`keyring "${name}": key versions`, versions.map(({ id, state }) => `${id} ${state}`).join(', ')]
}

/** Recognises keys and does not help to guess them: salted and slow, because a key of the environment may be a passphrase. */
function keyDigest(snapshot: LiveKeyring['snapshot'], salt: string): string {
  const keys = candidates(snapshot).map(({ material }) => material?.derive('keyturn/plan').export().toString('hex'))
  return scryptSync(keys.join(' '), salt, 16, { N: 2 ** 14, r: 8, p: 1 }).toString('hex')
}

function fieldFacts(field: Field): Fact[] {
  const facts = {
    'where it stands': printReference(field.location),
    formats: `reads ${field.reads.map(({ codec }) => codec.name).join(', ')}; writes ${field.writes.name} under "${field.keyring.name}"`,
    'what it is bound to': field.bind.map(({ column, type }) => `${column} (${type})`).join(', ') || 'nothing',
    'conditions beside the value': JSON.stringify(Object.entries(field.where).sort()),
    'strings that it takes': field.only === null ? 'all at its place' : `only what is ${field.only}`,
    'key id column': field.keyId ?? 'none',
    'what is kept': `${field.empty === 'keep' ? 'the empty string; ' : ''}${field.keep?.source ?? 'no pattern'}`,
    'older names': field.was.join(', ') || 'none',
  }
  return Object.entries(facts).map(([what, is]) => [`field "${field.name}": ${what}`, is])
}

function tableFacts({ name, shape }: TableWalk): Fact[] {
  return [
    ...shape.columns.map((column): Fact => [`table "${name}": column "${column.name}"`, columnFact(column)]),
    [`table "${name}": key`, shape.key.join(', ')],
    [`table "${name}": privileges`, `${shape.owned ? 'owner' : 'not owner'}, ${shape.lockable ? 'may lock it' : 'may not lock it'}`],
    [`table "${name}": triggers and publications`, [...shape.notes].sort().join('; ') || 'none'],
  ]
}

function columnFact({ type, nullable, assigned }: ColumnShape): string {
  return `${type}${nullable ? '' : ', NOT NULL'}${assigned ? ', given a value by the database' : ''}`
}

/** The facts of a plan that do not hold any more, in words. */
export function changedFacts(planned: PlanFacts, now: PlanFacts): string[] {
  const names = [...new Set([...Object.keys(planned), ...Object.keys(now)])]
  return names.flatMap((what) => {
    const [was, is] = [planned[what], now[what]]
    // The first opening for writing makes the keyring; nothing else has happened to it.
    if (was === is || (was === unmade && firstOnly.test(is ?? ''))) return []
    if (was === undefined) return [`${what} is new`]
    if (is === undefined) return [`${what} is gone`]
    return /^[0-9a-f]{32}$/.test(is) ? [`${what} are others`] : [`${what} was "${was}" and is "${is}"`]
  })
}

const shown = 10

/** @throws `ERR_PLAN_CHANGED` naming what does not hold any more */
export function assertUnchanged(planned: Plan, now: Plan): void {
  const changed =
    planned.keyring === now.keyring
      ? changedFacts(planned.facts, now.facts)
      : [`the keyring was "${planned.keyring}" and is "${now.keyring}"`]
  if (changed.length === 0) return
  const more = changed.length > shown ? [`and ${changed.length - shown} more`] : []
  throw fail('ERR_PLAN_CHANGED', [...changed.slice(0, shown), ...more].join('; '))
}

/**
 * Whether enough of the sample opens, or what does not has been accepted: by the caller, or with the plan, if it is no worse than that.
 *
 * @throws `ERR_SAMPLE_SHARE`
 */
export function assertAccepted(plan: Survey, accept: boolean, planned?: Plan): void {
  const share = ({ sampled, opened }: { readonly sampled: number; readonly opened: number }) =>
    sampled === 0 ? 0 : (sampled - opened) / sampled
  const shares = new Map(planned?.fields.map((field) => [field.field, share(field)]))
  const unaccepted = plan.fields.find((field) => share(field) > (shares.get(field.field) ?? 0))
  if (unaccepted === undefined || accept) return
  const { field, sampled, opened } = unaccepted
  throw fail('ERR_SAMPLE_SHARE', field, sampled - opened, sampled)
}
