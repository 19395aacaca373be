import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { certificateHash, certificateText, checkCertificate } from '../../packages/core/src/rotation/certificate.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { EvidenceTask } from './child.ts'
import { eventsOf, fast, opened, publicKey, refill } from './world.ts'

const server = useDatabase()
const rows = 40
const leaseMs = 1_000

async function child(task: Partial<EvidenceTask>): Promise<string> {
  const started = startChild('test/evidence/child.ts', [JSON.stringify({ url: server.url, leaseMs, ...task })])
  const { stdout, stderr, signal } = await started.exit
  if (signal === null && !stdout.includes('ended')) throw new Error(stdout + stderr)
  return stdout
}

/** As an operator would: resumes the run that the dead process left until there is nothing to resume. */
async function finish(keyturn: Keyturn): Promise<string> {
  for (;;) {
    const [last] = (await keyturn.status('app')).rotations
    if (last === undefined) throw new Error('the child left no run')
    try {
      await keyturn.resume(last.id, fast)
    } catch (error) {
      if (isKeyturnError(error, 'ERR_ROTATION_STATE')) return last.id
      if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
      await sleep(50)
    }
  }
}

/** Points around the statements of an undisturbed child, from its first to its last. */
function pointsOf(output: string): Partial<EvidenceTask>[] {
  const { statements } = JSON.parse(output.slice('ended '.length)) as { statements: number }
  const all = Array.from({ length: statements }, (_, n): Partial<EvidenceTask>[] => [{ before: n + 1 }, { after: n + 1 }]).flat()
  const total = Math.min(count(3, 16), all.length)
  return Array.from({ length: total }, (_, n) => all[Math.floor((n * (all.length - 1)) / (total - 1))] as Partial<EvidenceTask>)
}

test('Dying is harmless to the evidence: a run that was killed around its certificate has exactly one, whose hash the log holds', async () => {
  await refill(server.pool, rows)
  const points = pointsOf(await child({}))
  let unfinished = 0
  for (const at of points) {
    await refill(server.pool, rows)
    await child(at)
    await opened(server.pool, async (keyturn) => {
      if ((await keyturn.certificates()).length === 0) unfinished++
      const id = await finish(keyturn)
      const [stored, ...more] = await keyturn.certificates()
      expect({ at, more, subject: stored?.subject }).toEqual({ at, more: [], subject: `rotation/${id}` })
      const text = certificateText(stored?.certificate as never)
      expect(checkCertificate(text, publicKey.pem).claim).toMatchObject({
        rotation: id,
        rewritten: { values: rows },
        after: { total: rows, current: rows, other: 0, setAside: 0 },
        preserved: { values: rows, equal: true },
        complete: true,
      })
      const events = (await eventsOf(keyturn)).filter(({ subject }) => subject === `rotation/${id}`)
      const count = (action: string) => events.filter((event) => event.action === action).length
      expect({ at, completed: count('rotation.complete'), issued: count('certificate.issue') }).toEqual({ at, completed: 1, issued: 1 })
      expect(events.find(({ action }) => action === 'certificate.issue')?.data.sha256).toBe(certificateHash(text))
      expect({ at, ...(await keyturn.audit.verify()) }).toMatchObject({ at, intact: true })
      expect({ at, ...(await keyturn.verify()) }).toMatchObject({ at, total: rows, current: rows, failedCount: 0 })
    })
  }
  // Otherwise the points would all be past what they are there to hit.
  expect(unfinished).toBeGreaterThan(0)
}, 1_800_000)

test('Dying is harmless to the evidence of a retirement: retired again, the version has exactly one certificate of its retirement', async () => {
  const rotated = async () => {
    await refill(server.pool, rows)
    await opened(server.pool, (keyturn) => keyturn.rotate('app', fast))
  }
  await rotated()
  let uncertified = 0
  for (const at of pointsOf(await child({ retire: true }))) {
    await rotated()
    await child({ ...at, retire: true })
    await opened(server.pool, async (keyturn) => {
      const retirements = async () => (await keyturn.certificates()).filter(({ subject }) => subject.startsWith('retirement/'))
      if ((await retirements()).length === 0) uncertified++
      await keyturn.retire('app', fast)
      expect(await keyturn.retire('app', fast)).toEqual([])
      const [stored, ...more] = await retirements()
      expect({ at, more }).toEqual({ at, more: [] })
      const text = certificateText(stored?.certificate as never)
      expect(checkCertificate(text, publicKey.pem).claim).toMatchObject({
        kind: 'retirement',
        fence: [{ validated: true }],
        complete: true,
      })
      const events = (await eventsOf(keyturn)).filter(
        ({ action, subject }) => action === 'certificate.issue' && subject === stored?.subject,
      )
      expect(events.map(({ data }) => data.sha256)).toEqual([certificateHash(text)])
      expect({ at, ...(await keyturn.audit.verify()) }).toMatchObject({ at, intact: true })
    })
  }
  expect(uncertified).toBeGreaterThan(0)
}, 1_800_000)
