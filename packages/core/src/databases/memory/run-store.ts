import { fail } from '../../errors.ts'
import type { Lease, Progress, Run, RunStore, SetAside } from '../../rotation/run.ts'
import { assertStep, endsRequest, isOver } from '../../state/run-states.ts'
import type { Contents, RunRecord, Store } from './contents.ts'

/** Keeps runs in memory, with the duties of every RunStore. Leases are measured on the store's clock. */
export function memoryRunStore(store: Store): RunStore {
  const now = () => store.now().getTime()
  const read = (id: string) => copyOf(store.committed.runs.get(id)?.run ?? null)
  return {
    create: (run, event) =>
      store.change((copy) => {
        const other = unfinished(copy, run.keyring)
        if (other !== null) throw fail('ERR_ROTATION_RUNNING', run.keyring, other.id, other.state, other.id)
        copy.runs.set(run.id, { run: structuredClone(run), epoch: 0, until: null })
        store.log(copy, event)
      }),
    get: async (id) => read(id),
    unfinished: async (keyring) => copyOf(unfinished(store.committed, keyring)),
    list: async (limit) =>
      [...store.committed.runs.values()]
        .map(({ run }) => structuredClone(run))
        .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1))
        .slice(0, limit),
    acquire: (id, ttlMs) =>
      store.change((copy) => {
        const { run, epoch, until } = recordOf(copy, id)
        if (until !== null && until > now()) throw fail('ERR_LEASE_HELD', id, Math.max(1, Math.ceil((until - now()) / 1000)))
        const requested = run.requested === 'pause' ? null : run.requested
        copy.runs.set(id, { run: { ...run, requested }, epoch: epoch + 1, until: now() + ttlMs })
        return { rotationId: id, epoch: epoch + 1, ttlMs }
      }),
    renew: (lease) => store.change((copy) => renew(copy, lease, { now: now() }).run.requested),
    surrender: ({ rotationId, epoch }) =>
      store.change((copy) => {
        const record = copy.runs.get(rotationId)
        if (record?.epoch === epoch) copy.runs.set(rotationId, { ...record, epoch: epoch + 1, until: null })
      }),
    change: (lease, to, note, event) =>
      store.change((copy) => {
        const record = leased(copy, lease)
        const { state, requested } = record.run
        assertStep(lease.rotationId, state, to)
        const run = {
          ...record.run,
          state: to,
          note,
          endedAt: isOver(to) ? store.now() : null,
          requested: endsRequest(state, to) ? null : requested,
        }
        copy.runs.set(lease.rotationId, { ...record, run })
        store.log(copy, event)
      }),
    request: (id, what, event) =>
      store.change((copy) => {
        const record = recordOf(copy, id)
        if (isOver(record.run.state)) throw fail('ERR_ROTATION_STATE', id, record.run.state, what === 'pause' ? 'paused' : 'cancelled')
        copy.runs.set(id, { ...record, run: { ...record.run, requested: record.run.requested === 'cancel' ? 'cancel' : what } })
        store.log(copy, event)
      }),
    setAside: async (id, limit) => {
      const pass = store.committed.runs.get(id)?.run.progress.pass
      const values = [...(store.committed.setAside.get(id)?.values() ?? [])].filter((each) => each.pass === pass).map(({ value }) => value)
      return { total: values.length, values: structuredClone(values.slice(0, limit)) }
    },
    replaceSetAside: (lease, values) =>
      store.change((copy) => {
        const { run } = leased(copy, lease)
        copy.setAside.delete(run.id)
        keep(copy, run, values)
      }),
  }
}

/** Saves progress and the values set aside in the copy of a transaction: see `RunTransaction.advance`. */
export function advance(
  copy: Contents,
  lease: Lease,
  at: { readonly now: number },
  to: { progress: Progress; setAside: readonly SetAside[] },
): Run['requested'] {
  const { run } = renew(copy, lease, { ...at, progress: to.progress })
  keep(copy, run, to.setAside)
  return run.requested
}

function renew(copy: Contents, lease: Lease, { now, progress }: { readonly now: number; readonly progress?: Progress }): RunRecord {
  const { run, epoch } = leased(copy, lease)
  const record = { run: { ...run, progress: structuredClone(progress ?? run.progress) }, epoch, until: now + lease.ttlMs }
  copy.runs.set(run.id, record)
  return record
}

function keep(copy: Contents, { id, progress }: Run, values: readonly SetAside[]): void {
  const kept = new Map(copy.setAside.get(id))
  for (const value of structuredClone(values)) {
    kept.set(JSON.stringify([value.field, Object.entries(value.row).sort(), value.path ?? '']), { value, pass: progress.pass })
  }
  copy.setAside.set(id, kept)
}

function recordOf(copy: Contents, id: string): RunRecord {
  const record = copy.runs.get(id)
  if (record === undefined) throw fail('ERR_UNKNOWN_NAME', 'rotation', id, '')
  return record
}

function leased(copy: Contents, { rotationId, epoch }: Lease): RunRecord {
  const record = copy.runs.get(rotationId)
  if (record?.epoch !== epoch) throw fail('ERR_LEASE_LOST', rotationId)
  return record
}

function unfinished({ runs }: Contents, keyring: string): Run | null {
  return [...runs.values()].map(({ run }) => run).find((run) => run.keyring === keyring && !isOver(run.state)) ?? null
}

function copyOf(run: Run | null): Run | null {
  return run === null ? null : structuredClone(run)
}
