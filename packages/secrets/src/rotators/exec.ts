import { isVariableName } from '@keyturn/core'
import { z } from 'zod'
import { type FailureKind, outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { commandLine, environment, runProgram } from '../outside/program.ts'
import type { Call, World } from '../secret/call.ts'
import type { Credential, Parts } from '../secret/credential.ts'
import type { Rotator } from '../secret/rotator.ts'
import { shortSentence } from './exec/sentence.ts'

const optional = ['propose', 'list', 'lastUsed', 'disable', 'enable', 'reinstate', 'adopt'] as const
type Operation = 'check' | 'create' | 'verify' | 'revoke' | (typeof optional)[number]

export const options = z.strictObject({
  /** The program and its arguments, without a shell: `["node", "rotate-vendor.js"]`. */
  command: commandLine,
  /** The folder it runs in; that of Keyturn unless given. */
  folder: z.string().min(1).optional(),
  /** Variables that are passed on, beside `PATH`, `HOME` and the like: the program's own login at the issuer. */
  env: z.array(z.string().refine(isVariableName, { error: 'expected the name of a variable' })).optional(),
  /** The parts of a credential: `{ user: 'public', password: 'secret' }`. */
  parts: z
    .record(z.string().regex(/^[A-Za-z][A-Za-z0-9]*$/, { error: 'expected letters and digits' }), z.enum(['secret', 'public']))
    .refine((parts) => Object.values(parts).includes('secret'), { error: 'expected a part that is secret' }),
  /** Whether the old credential works until it is revoked. */
  overlap: z.boolean(),
  /** What it can do beside check, create, verify and revoke. */
  operations: z.array(z.enum(optional)).default([]),
  /** The longest that one operation may take, in seconds; 60 unless given. */
  seconds: z.int().min(1).max(3_600).default(60),
})

/** Exit codes of sysexits.h. Any other one may have come in the middle of something. */
const exits: Readonly<Record<number, FailureKind>> = { 75: 'busy', 64: 'refused', 77: 'refused', 78: 'refused' }

const credential = z.object({ id: z.string().min(1).max(500).nullable(), parts: z.record(z.string(), z.string().max(100_000)) })
const answers = {
  check: z.object({ findings: z.array(z.object({ severity: z.enum(['fault', 'warning']), sentence: z.string() })).optional() }),
  credential,
  list: z.object({
    credentials: z.array(
      z.object({
        id: z.string().min(1),
        name: z.string().nullable().default(null),
        createdAt: z.number().nullable().default(null),
        used: z.boolean().nullable().default(null),
        enabled: z.boolean().default(true),
      }),
    ),
  }),
  verify: z.object({ works: z.boolean(), later: z.boolean().default(false), sentence: z.string().default('') }),
  lastUsed: z.object({ at: z.number().nullable().optional() }),
  nothing: z.unknown(),
}

/**
 * A program of yours that rotates what Keyturn does not know. It is run once for each operation, reads one JSON document from its input and prints one:
 *
 * | operation | reads, beside `operation`, `secret`, `attempt` and `name` | prints |
 * |---|---|---|
 * | `check` | `current` | `{ "findings": [{ "severity": "fault", "sentence": "…" }] }` |
 * | `propose` | `current` | `{ "id": null, "parts": { … } }`: the next credential, chosen and not yet made |
 * | `create` | `given` (proposed, or null), `current` | the credential as it was made |
 * | `list` | | `{ "credentials": [{ "id", "name", "createdAt", "used", "enabled" }] }` |
 * | `verify` | `credential` | `{ "works": true, "sentence": "…" }`, or `"works": false` with `"later": true` while it may spread |
 * | `lastUsed` | `credential` | `{ "at": 1795298706000 }`, null for never, `{}` for unknown |
 * | `revoke` | `credential`, `successor` | nothing |
 * | `disable`, `enable`, `reinstate` | `credential` | nothing |
 * | `adopt` | `parts` | the credential with its id |
 *
 * What each owes, above all on being repeated, is what a rotator owes. Without `propose` and without `list` nobody can find what an answer that
 * was lost has made: have one of them. It should name what it makes by `name`. Exit codes: 0 done, 75 try again later and nothing happened, 64, 77
 * and 78 it will not be done; any other one, and an answer of another form, may have happened. Credentials go through input and output only,
 * never through arguments or variables; what it prints to stderr is thrown away.
 */
export default function exec(given: z.infer<typeof options>, world: World): Rotator {
  const { command, folder, operations, parts, seconds } = given
  const where = `the program "${command[0]}"`
  const run = async <T>(call: Call, operation: Operation, schema: z.ZodType<T>, input: object = {}): Promise<T> => {
    const { secret, attempt, signal } = call
    const env = await environment(world, given.env)
    const text = JSON.stringify({ operation, secret, attempt, name: `keyturn-${attempt}`, ...input })
    const { code, stdout } = await runProgram({ where, command, folder, env, input: text, signal })
    if (code !== 0) throw outside(exits[code] ?? 'uncertain', where, `"${operation}" ended with ${code}`)
    const answer = schema.safeParse(parsed(stdout))
    if (!answer.success) throw outside('uncertain', where, `its answer to "${operation}" has another form than it should have`)
    return answer.data
  }
  const made = async (call: Call, operation: Operation, input: object): Promise<Credential> => {
    const found = await run(call, operation, answers.credential, input)
    const missing = Object.keys(parts).find((part) => !found.parts[part])
    if (missing !== undefined) throw outside('uncertain', where, `its answer to "${operation}" has no part "${missing}"`)
    return { id: found.id, parts: Object.fromEntries(Object.keys(parts).map((part) => [part, found.parts[part] ?? ''])) }
  }
  const done = (operation: Operation) => async (call: Call, one: Credential) =>
    void (await run(call, operation, answers.nothing, { credential: one }))
  const all: Required<Pick<Rotator, (typeof optional)[number]>> = {
    propose: (call, current) => made(call, 'propose', { current }),
    list: async (call) => (await run(call, 'list', answers.list)).credentials,
    lastUsed: async (call, one) => (await run(call, 'lastUsed', answers.lastUsed, { credential: one })).at,
    disable: done('disable'),
    enable: done('enable'),
    reinstate: done('reinstate'),
    adopt: (call, known: Parts) => made(call, 'adopt', { parts: known }),
  }
  return {
    parts,
    overlap: given.overlap,
    callMs: seconds * 1_000,
    ...Object.fromEntries(operations.map((operation) => [operation, all[operation]])),
    check: (call, current) =>
      findings(async () => {
        const found = (await run(call, 'check', answers.check, { current })).findings ?? []
        return found.map(({ severity, sentence }) => ({
          severity,
          sentence: shortSentence(sentence, [current]) || `${where} finds a ${severity}`,
        }))
      }),
    create: async (call, proposed, current) => {
      const created = await made(call, 'create', { given: proposed, current })
      const isSame = Object.keys(parts).every((part) => parts[part] === 'public' || created.parts[part] === current?.parts[part])
      if (isSame) throw outside('refused', where, 'it answered to "create" with the credential in use')
      return created
    },
    verify: async (call, one) => {
      const { works, later, sentence } = await run(call, 'verify', answers.verify, { credential: one })
      const said = shortSentence(sentence, [one]) || `${where} says that it ${works ? 'works' : 'does not work'}`
      return works ? { works, sentence: said } : { works, later, sentence: said }
    },
    revoke: async (call, one, successor) => void (await run(call, 'revoke', answers.nothing, { credential: one, successor })),
  }
}

/** What was printed; an empty object for nothing, undefined for what is no JSON. */
function parsed(text: string): unknown {
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
