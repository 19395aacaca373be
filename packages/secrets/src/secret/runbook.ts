import { stepsForward, stepsOfTaking } from '../run/steps.ts'
import type { Condition } from './alert.ts'
import type { Call } from './call.ts'
import type { Credential } from './credential.ts'
import type { SecretStatus } from './inventory.ts'
import type { OpenedSecret } from './opened-secret.ts'
import type { AlertConfig } from './secret-config.ts'
import { stepWords } from './step-words.ts'
import type { Task } from './task.ts'
import { truthOf } from './truth.ts'

/** A secret as a runbook speaks of it. */
export interface RunbookEntry {
  readonly secret: OpenedSecret
  readonly status: SecretStatus
  readonly current: Credential | null
}

/** When a condition holds, what Keyturn does then, and what is left to people. */
const conditions: Record<Condition, readonly [when: string, does: string, left: string]> = {
  authentication: [
    'the new credential is refused, or consumers cannot log in with it',
    'goes back to the credential from before, which still works',
    'read what the step saw (`keyturn secrets history NAME`), mend it, rotate again',
  ],
  connection: [
    'machines, pods or programs did not take the new value',
    'goes back to the credential from before',
    'restart what did not, look at PgBouncer and other pools in between, rotate again',
  ],
  automatic: [
    'a rotation that began by itself could not be done',
    'goes back, or pauses where it cannot',
    'mend what it names, then rotate by hand: `keyturn secrets rotate NAME`',
  ],
  leak: [
    'somebody said that the secret is known to others',
    'rotates without a grace: the old credential ends as soon as the new one is in use',
    'open an incident; `keyturn leak NAME` says what is still exposed',
  ],
  task: ['a person has to make or end a credential', 'waits, and asks again when what was given does not work', 'do what the task says'],
  revocation: [
    'the old credential does not end, or a credential is left that nobody uses',
    'tries again for as long as it takes; it is never forgotten',
    'end it at its issuer, then `keyturn secrets resume RUN`',
  ],
  failed: [
    'a run failed or is paused, or nobody did a task in time',
    'stands still, with the reason in its note',
    'do what the note says, then `keyturn secrets resume RUN`, or `keyturn secrets rollback RUN`',
  ],
}

/**
 * A runbook in Markdown, from the configuration and the state: the inventory, who hears of what, and for each secret what Keyturn does in
 * which order and what is left to people. Reads only. It holds no values.
 */
export async function runbookOf(
  entries: readonly RunbookEntry[],
  { alerts, now }: { readonly alerts: readonly AlertConfig[]; readonly now: number },
): Promise<string> {
  const chapters: string[] = []
  for (const entry of entries) chapters.push(await chapter(entry))
  return [
    '# Runbook of the secrets',
    '',
    `Written by \`keyturn secrets runbook\`, ${iso(now)}, from the configuration and the state. It holds no values.`,
    '',
    '## Inventory',
    '',
    ...table(
      ['secret', 'owner', 'risk', 'kept in', 'every', 'automatic', 'last', 'next', 'now'],
      entries.map(({ status }) => inventoryRow(status)),
    ),
    '',
    '## Escalation',
    '',
    ...table(
      ['condition', 'when', 'Keyturn', 'you', 'told', 'runbook'],
      Object.entries(conditions).map(([condition, [when, does, left]]) => [
        condition,
        when,
        does,
        left,
        ...channels(condition as Condition, alerts, entries),
      ]),
    ),
    ...chapters.flatMap((text) => ['', text]),
    '',
  ].join('\n')
}

const iso = (ms: number) => new Date(ms).toISOString()
const day = (text: string | null) => text?.slice(0, 10) ?? null
const cell = (text: string) => text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|')

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`
  return [line(headings), `|${'---|'.repeat(headings.length)}`, ...rows.map(line)]
}

function inventoryRow(status: SecretStatus): string[] {
  const { name, owner, risk, stores, every, automatic, since, dueAt, overdue, run } = status
  const next = dueAt === null ? '' : overdue ? '**overdue**' : (day(dueAt) ?? '')
  const now = run === null ? 'in use' : `${run.state}${run.step === null ? '' : ` at ${run.step}`}`
  const kept = stores.length === 0 ? 'nowhere' : stores.join(', ')
  return [name, owner ?? 'nobody', risk, kept, every ?? 'when asked', automatic ? 'yes' : 'no', day(since) ?? 'never', next, now]
}

function channels(
  condition: Condition,
  alerts: readonly AlertConfig[],
  entries: readonly RunbookEntry[],
): [told: string, runbooks: string] {
  const told = alerts.filter(({ on }) => on === undefined || on.includes(condition))
  const addresses = told.flatMap(({ runbooks }) => runbooks?.[condition] ?? [])
  const own = entries.flatMap(({ status }) => status.runbook ?? [])
  return [
    told.length === 0 ? '**nobody**' : [...new Set(told.map(({ alert }) => alert))].join(', '),
    [...new Set(addresses.length > 0 ? addresses : own)].join(', '),
  ]
}

async function chapter({ secret, status, current }: RunbookEntry): Promise<string> {
  const { name, config, rotator } = secret
  const truth = truthOf(secret)
  const hasOld = current !== null || config.first !== undefined || truth !== null
  const all = rotator.kept ? stepsOfTaking(secret, { hasOld, deployed: true }) : stepsForward(secret, { hasOld })
  const steps = all.filter((step) => hasWork(secret, step))
  const parts = [
    `Rotator \`${config.rotator.rotator}\``,
    ...status.targets.map((target) => `target \`${target}\``),
    ...status.gates.map((gate) => `gate \`${gate}\``),
  ]
  return [
    `## ${name}`,
    '',
    `Owner: ${status.owner ?? 'nobody'}. Risk: ${status.risk}. ${parts.join(', ')}.${status.runbook === null ? '' : ` Runbook: ${status.runbook}`}`,
    '',
    ...secret.stores.map(({ name: store, templates }) => `- \`${store}\` holds ${Object.keys(templates).map(code).join(', ')}.`),
    ...(truth === null
      ? []
      : [
          '',
          `The source of truth is \`${truth.name}\`: what people write there is tried, taken over and deployed by \`keyturn secrets sync ${name} --apply\`.`,
        ]),
    '',
    '### What Keyturn does',
    '',
    ...steps.map((step, index) => `${index + 1}. ${wordsOf(secret, step)}`),
    '',
    returns(steps),
    ...(rotator.overlap ? [] : ['', 'There is one password only: from its change until consumers have the new one, log-ins are refused.']),
    '',
    '### What is left to people',
    '',
    ...(await byHand({ secret, status, current })),
    '',
    '### When something is wrong',
    '',
    rotator.kept
      ? '- It is known to others: do the above at once, and end the old one at its issuer.'
      : `- It is known to others: \`keyturn secrets rotate ${name} --leaked\`, then \`keyturn leak ${name}\`.`,
    `- A store was changed by hand, or is new: \`keyturn secrets sync ${name}\`, then the same with \`--apply\`.`,
    `- A run does not go on: \`keyturn secrets history ${name}\` says why; then \`resume\`, \`rollback\` or \`revoke\`.`,
    ...(status.troubles.length === 0 ? [] : [`- Now: ${status.troubles.join(', ')}.`]),
    ...(status.run?.note == null ? [] : [`- Run \`${status.run.id}\`: ${status.run.note}.`]),
  ].join('\n')
}

const code = (text: string) => `\`${text}\``

/** A step without anything to call is passed over by a reader. */
function hasWork({ targets, gates }: OpenedSecret, step: string): boolean {
  if (step.startsWith('deploy:')) return targets.length > 0
  return !step.startsWith('gates:') || gates.some(({ part }) => part.at === 'deployed')
}

function wordsOf({ config, rotator }: OpenedSecret, step: string): string {
  if (step === 'grace') return `${stepWords(step)}: ${config.grace ?? '1h'}`
  if (step === 'verify' && rotator.unverified) return 'look at the form of the new credential, which only its consumers can try'
  return step === 'verify' && rotator.issuer === false ? 'look at the form of the new value, which nobody issues' : stepWords(step)
}

function returns(steps: readonly string[]): string {
  const revoke = steps.indexOf('revoke')
  if (revoke < 0) return '`keyturn secrets rollback RUN` takes it back at any step; what fails goes back by itself.'
  return `Until step ${revoke + 1} \`keyturn secrets rollback RUN\` takes it back, and what fails goes back by itself. After it nothing does.`
}

/** What no API does: tasks with their instructions, and what the configuration leaves open. */
async function byHand({ secret, status, current }: RunbookEntry): Promise<string[]> {
  const { name, config, rotator } = secret
  // In place of the attempt, which is another one in each run.
  const call = (): Call => ({ secret: name, attempt: 'ATTEMPT', signal: AbortSignal.timeout(30_000) })
  const asked = async (ask: () => Promise<Task> | undefined) => await Promise.resolve(ask()).catch(() => undefined)
  const tasks = [
    await asked(() => rotator.task?.(call(), current)),
    await asked(() => rotator.revocation?.(call(), current ?? { id: null, parts: {} })),
  ]
  const lines = tasks.flatMap((task) => (task === undefined ? [] : [...taskLines(task), '']))
  if (rotator.kept)
    return [
      `- Make a new one at its issuer${config.every === undefined ? '' : `, every ${config.every}`}, write it into its source of truth, then: \`keyturn secrets sync ${name} --apply\`.`,
      '- End the old one at its issuer when the new one is in use.',
    ]
  if (!status.automatic)
    lines.push(`- Begin it${config.every === undefined ? '' : `, every ${config.every}`}: \`keyturn secrets rotate ${name}\`.`)
  if (rotator.task !== undefined) lines.push('- Give what was made: `keyturn secrets provide RUN`.')
  if (current === null && config.first === undefined && truthOf(secret) === null && rotator.issuer !== false)
    lines.push('- End the credential from before the first rotation at its issuer: Keyturn does not know it.')
  return lines.length === 0 ? ['Nothing.'] : lines
}

const taskLines = ({ title, instructions, url }: Task): string[] => [
  `**${title}.**${url === undefined ? '' : ` ${url}`}`,
  '',
  ...instructions.split('\n'),
]
