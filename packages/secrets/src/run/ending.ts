import type { Credential } from '../secret/credential.ts'
import type { Paste, Task } from '../secret/task.ts'
import { clearUp } from './creation.ts'
import { gates } from './delivery.ts'
import type { Outcome } from './outcome.ts'
import type { StepWorld } from './step-world.ts'

const iso = (ms: number) => new Date(ms).toISOString()

/** Tries the new credential, before anybody depends on it. */
export async function verify({ secret, made, call }: StepWorld): Promise<Outcome> {
  const { rotator } = secret
  if (made === null) return { is: 'failed', sentence: 'there is no new credential' }
  const verdict = await call(rotator, (each) => rotator.verify(each, made))
  if (verdict.works) return { is: 'done', evidence: { verdict: verdict.sentence } }
  if (verdict.later) return { is: 'again', sentence: verdict.sentence, withinMs: rotator.settleMs ?? 120_000 }
  return rotator.task === undefined ? { is: 'failed', sentence: verdict.sentence } : { is: 'ask-again', sentence: verdict.sentence }
}

/** The time in which both work: whatever still holds the old one gets the new one. */
export async function grace({ run, secret, now }: StepWorld): Promise<Outcome> {
  const until = (run.facts.deployedAt ?? now) + secret.graceMs
  if (run.facts.hurried === true) return { is: 'done', evidence: { endedBy: 'a person' } }
  if (now >= until) return { is: 'done', evidence: { until: iso(until) } }
  return { is: 'wait', until, note: `both credentials work until ${iso(until)}; then the old one is revoked` }
}

/** Looks for somebody who still uses the old credential. It is not revoked under them; a person may. */
export async function unused(world: StepWorld): Promise<Outcome> {
  const { run, secret, old, made, now, call } = world
  const { rotator } = secret
  if (made !== null) {
    // Days may have passed since it was tried.
    const verdict = await call(rotator, (each) => rotator.verify(each, made))
    if (!verdict.works && verdict.later) return { is: 'again', sentence: verdict.sentence }
    if (!verdict.works) return { is: 'failed', sentence: `the new credential does not work any more: ${verdict.sentence}` }
  }
  if (run.facts.hurried === true || old === null || made === null) return { is: 'skipped', why: 'a person ended the old credential' }
  const evidence: Record<string, string> = {}
  const still = (sentence: string): Outcome =>
    now - (run.facts.step?.since ?? now) - (run.facts.step?.limitedMs ?? 0) < secret.deadlineMs
      ? { is: 'again', sentence }
      : {
          is: 'pause',
          note: `the old credential is still used: ${sentence}. Find who uses it and resume the run; or end it all the same with "revoke"`,
        }
  for (const [index, { name, part }] of secret.gates.entries()) {
    if (part.at !== 'unused') continue
    const asked = { before: run.facts.gates?.[index] ?? null, since: run.facts.deployedAt ?? now, current: made, previous: old }
    const verdict = await call(part, (each) => part.look(each, asked))
    if (!verdict.works) return still(`${name}: ${verdict.sentence}`)
    evidence[`${name} ${index + 1}`] = verdict.sentence
  }
  if (rotator.lastUsed === undefined) return { is: 'done', evidence }
  const at = await call(rotator, async (each) => (await rotator.lastUsed?.(each, old)) ?? null)
  if (at !== null && at > (run.facts.deployedAt ?? now))
    return still(`the issuer says that it was last used at ${iso(at)}, after the deployment`)
  return { is: 'done', evidence: { ...evidence, lastUsed: at === null ? 'not known to be used' : iso(at) } }
}

export async function disable({ secret, old, call }: StepWorld): Promise<Outcome> {
  const { rotator } = secret
  if (old === null) return { is: 'skipped', why: 'there is no old credential' }
  await call(rotator, (each) => rotator.disable?.(each, old) ?? Promise.resolve())
  return { is: 'done' }
}

/** The old credential is off, and could still be turned on: if anything depends on it, it shows now. */
export async function soak(world: StepWorld): Promise<Outcome> {
  const { run, secret, now } = world
  const until = (run.facts.step?.since ?? now) + secret.soakMs
  if (now < until) return { is: 'wait', until, note: `the old credential is disabled; it is revoked after ${iso(until)} if all stays well` }
  return await gates(world, 'promote')
}

/** Ends the old credential. From here on there is no way back, and it is never forgotten: it is tried for ever. */
export async function revoke(world: StepWorld): Promise<Outcome> {
  const { run, secret, old, made, call } = world
  const { rotator } = secret
  if (old === null) return { is: 'skipped', why: 'there is no old credential' }
  if (run.facts.revoking !== true && made !== null) {
    const verdict = await call(rotator, (each) => rotator.verify(each, made))
    if (!verdict.works)
      return { is: 'again', sentence: `the new credential does not work: ${verdict.sentence}. The old one is not ended; take the run back` }
  }
  const recorded = async () => {
    if (world.run.facts.revoking !== true && made !== null) await world.pastReturn()
  }
  if (rotator.revocation !== undefined) {
    await recorded()
    return await endedByPerson(world, old, () => call(rotator, (each) => rotator.revocation?.(each, old) ?? nothing))
  }
  await call(rotator, (each) => rotator.revoke(each, old, made), { recorded })
  return { is: 'done', evidence: { id: old.id } }
}

/** Waits until a person has ended it: until it is refused, or where nothing can try it, until they say so. */
async function endedByPerson({ run, secret, now, call }: StepWorld, credential: Credential, ask: () => Promise<Task>): Promise<Outcome> {
  const { rotator, patienceMs } = secret
  const asked = async (more: Partial<Task> = {}) => run.facts.task ?? { ...(await ask()), ...more, until: now + patienceMs }
  if (rotator.unverified) {
    if (run.facts.ended === run.steps[run.position]) return { is: 'done', evidence: { endedBy: 'a person, by their word' } }
    const task = await asked({ paste: [wordOfTheEnd] })
    return { is: 'wait', until: Math.max(task.until, now + 3_600_000), note: `waits for a person: ${task.title}`, facts: { task } }
  }
  const verdict = await call(rotator, (each) => rotator.verify(each, credential))
  if (!verdict.works && !verdict.later) return { is: 'done', evidence: { verdict: verdict.sentence } }
  const task = await asked()
  return { is: 'wait', until: now + 60_000, note: `waits for a person: ${task.title}`, facts: { task } }
}

const nothing: Promise<Task> = Promise.resolve({ title: 'end the old credential', instructions: '', paste: [] })
const wordOfTheEnd: Paste = { part: 'ended', label: 'the word "ended", when it has', pattern: 'ended' }

/** Asks a person for what no API makes. */
export async function askPerson({ run, secret, old, made, now, call }: StepWorld): Promise<Outcome> {
  const { rotator, patienceMs } = secret
  if (made !== null) return { is: 'done', facts: { task: undefined } as never }
  const task = run.facts.task ?? { ...(await call(rotator, (each) => rotator.task?.(each, old) ?? nothing)), until: now + patienceMs }
  return { is: 'wait', until: Math.max(task.until, now + 3_600_000), note: `waits for a person: ${task.title}`, facts: { task } }
}

export async function propose({ secret, old, call }: StepWorld): Promise<Outcome> {
  const { rotator } = secret
  if (rotator.propose === undefined) return { is: 'skipped', why: 'the issuer chooses' }
  const credential = await call(rotator, (each) => (rotator.propose as NonNullable<typeof rotator.propose>)(each, old))
  return { is: 'done', credential, facts: { newId: credential.id } }
}

/** The old credential must be refused now: that a call to end it was answered proves nothing. */
export async function confirm({ secret, old, call }: StepWorld): Promise<Outcome> {
  if (old === null) return { is: 'skipped', why: 'there is no old credential' }
  return await refused(call, secret.rotator, old, 'the old credential')
}

export async function confirmRemoved({ secret, made, call }: StepWorld): Promise<Outcome> {
  if (made === null) return { is: 'skipped', why: 'no new credential is known' }
  return await refused(call, secret.rotator, made, 'the new credential, which was given up,')
}

async function refused(
  call: StepWorld['call'],
  rotator: StepWorld['secret']['rotator'],
  credential: Credential,
  what: string,
): Promise<Outcome> {
  let sentence = ''
  for (let asked = 0; asked < refusals; asked++) {
    const verdict = await call(rotator, (each) => rotator.remains?.(each, credential) ?? rotator.verify(each, credential))
    if (verdict.works) return { is: 'again', sentence: `${what} still works: ${verdict.sentence}` }
    sentence = verdict.sentence
  }
  return { is: 'done', evidence: { verdict: sentence, times: refusals } }
}

/** An issuer has several servers, and one that refuses says nothing of the others. */
const refusals = 3

/** Takes back what made the old credential stop. */
export async function reinstate({ secret, old, call }: StepWorld): Promise<Outcome> {
  const { rotator } = secret
  if (old === null) return { is: 'pause', note: 'the credential from before is not known, so that nothing can make it work again' }
  const again = rotator.overlap ? rotator.enable : rotator.reinstate
  if (again === undefined)
    return { is: 'pause', note: 'nothing makes the old credential work again. Resume the run, so that it goes on with the new one' }
  await call(rotator, (each) => again.call(rotator, each, old))
  return { is: 'done', evidence: { id: old.id } }
}

/** Ends the new credential of a run that was given up, whether or not it is known. */
export async function remove(world: StepWorld): Promise<Outcome> {
  const { run, secret, made, old, call } = world
  const { rotator } = secret
  if (made === null) return (await clearUp(world)) ?? { is: 'done' }
  if (rotator.revocation !== undefined)
    return await endedByPerson(world, made, async () => {
      const { url } = await call(rotator, (each) => rotator.task?.(each, old) ?? nothing)
      const name = `keyturn-${run.attempt}`
      return {
        title: 'End the new credential, which was given up',
        instructions: `1. Look at its issuer for the credential that was made for this run: it was to be named \`${name}\`.\n2. End it. The older one is in use.`,
        ...(url !== undefined && { url }),
        paste: [],
      }
    })
  await call(secret.rotator, (each) => secret.rotator.revoke(each, made, old))
  return { is: 'done', evidence: { id: made.id } }
}
