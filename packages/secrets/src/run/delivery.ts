import type { Evidence } from '../secret/call.ts'
import { render, type Slots } from '../secret/template.ts'
import type { Outcome } from './outcome.ts'
import type { Phase } from './run.ts'
import type { StepWorld } from './step-world.ts'

/** Puts the new values where nobody reads them yet, in the stores that have such a place. */
export async function stage(world: StepWorld): Promise<Outcome> {
  const slots = slotsOf(world, 'promote')
  let staged = 0
  for (const { store, templates } of world.secret.stores) {
    if (store.stage === undefined) continue
    await world.call(store, (call) => store.stage?.(call, render(templates, slots)) ?? Promise.resolve())
    staged++
  }
  return { is: 'done', evidence: { stores: staged } }
}

export async function unstage({ secret, call }: StepWorld): Promise<Outcome> {
  for (const { store } of secret.stores)
    if (store.unstage !== undefined) await call(store, (each) => store.unstage?.(each) ?? Promise.resolve())
  return { is: 'done' }
}

/**
 * Which credential stands in which slot.
 *
 * - `announce`: everybody learns the new one, and goes on using the old.
 * - `promote`: everybody uses the new one, and still accepts the old.
 * - `withdraw`: the old one is accepted no more.
 * - `back`: as it was; `sync`: as it should be.
 */
export function slotsOf({ old, made }: Pick<StepWorld, 'old' | 'made'>, phase: Phase): Slots {
  const table: Record<Phase, Slots> = {
    announce: { current: old ?? made, previous: null, next: made },
    promote: { current: made, previous: old, next: null },
    withdraw: { current: made, previous: null, next: null },
    back: { current: old, previous: null, next: null },
    sync: { current: old, previous: null, next: null },
  }
  return table[phase]
}

/** Writes every store of the secret. One that refuses takes the run back, and those before it with it: all or none. */
export async function write(world: StepWorld, phase: Phase): Promise<Outcome> {
  const slots = slotsOf(world, phase)
  const versions: Record<string, string | null> = {}
  for (const { name, store, templates, truth } of world.secret.stores) {
    // Whoever writes there may have written again since it was read.
    if (truth && (world.run.facts.taken === true || phase === 'sync')) continue
    const { version } = await world.call(store, (call) => store.write(call, render(templates, slots)), { phase })
    versions[name] = version
  }
  return { is: 'done', facts: { versions }, evidence: { stores: world.secret.stores.length, ...prefixed('version', versions) } }
}

/** Has every target take what the stores hold. */
export async function deploy(world: StepWorld, phase: Phase): Promise<Outcome> {
  const { secret, run } = world
  const evidence: Record<string, Evidence[string]> = {}
  for (const [index, { name, part }] of secret.targets.entries()) {
    const seen = await world.call(part, (call) => part.deploy(call, run.facts.versions ?? {}), { phase, callMs: deployMs })
    Object.assign(evidence, prefixed(`${name} ${index + 1}`, seen))
  }
  return { is: 'done', evidence }
}

/** A deployment waits until every machine has been replaced. */
export const deployMs = 600_000

/** Asks every gate after a deployment. */
export async function gates(world: StepWorld, phase: Phase): Promise<Outcome> {
  const { secret, run, old, made } = world
  const slots = slotsOf(world, phase)
  const evidence: Record<string, string> = {}
  for (const [index, { name, part }] of secret.gates.entries()) {
    const current = slots.current ?? made ?? old
    if (part.at !== 'deployed' || current === null) continue
    const asked = {
      before: run.facts.gates?.[index] ?? null,
      since: run.facts.deployedAt ?? world.now,
      current,
      previous: phase === 'back' ? made : phase === 'announce' ? null : old,
      both: slots.previous !== null && secret.slots.has('previous'),
    }
    const verdict = await world.call(part, (call) => part.look(call, asked), { phase })
    if (!verdict.works) {
      const sentence = `${name}: ${verdict.sentence}`
      return verdict.later ? { is: 'again', sentence, withinMs: part.settleMs ?? settleMs } : { is: 'failed', sentence }
    }
    evidence[`${name} ${index + 1}`] = verdict.sentence
  }
  return { is: 'done', evidence }
}

/** How long a gate may say "later" unless it says otherwise. */
const settleMs = 300_000

/** What gates see before anything changes, to compare with. */
export async function prepare({ secret, call }: StepWorld): Promise<Outcome> {
  const seen: Record<string, Evidence> = {}
  for (const [index, { part }] of secret.gates.entries()) {
    if (part.before !== undefined) seen[index] = await call(part, (each) => part.before?.(each) ?? Promise.resolve({}))
  }
  return { is: 'done', facts: { gates: seen }, evidence: { gates: Object.keys(seen).length } }
}

const prefixed = (prefix: string, facts: Evidence): Evidence =>
  Object.fromEntries(Object.entries(facts).map(([name, fact]) => [`${prefix}: ${name}`, fact]))
