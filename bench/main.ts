import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { type Bench, type Benchmark, type Outcome, passes, type Ratio } from './benchmark.ts'
import { adapters } from './benchmarks/adapters.ts'
import { documents } from './benchmarks/documents.ts'
import { field } from './benchmarks/field.ts'
import { latency } from './benchmarks/latency.ts'
import { looking } from './benchmarks/looking.ts'
import { memory, memoryDocuments } from './benchmarks/memory.ts'
import { rewrap } from './benchmarks/rewrap.ts'
import { rotation, rotationFormat } from './benchmarks/rotation.ts'
import { script } from './benchmarks/script.ts'
import { serving } from './benchmarks/serving.ts'
import { sessions } from './benchmarks/sessions.ts'
import { signing } from './benchmarks/signing.ts'
import { openPostgres, type Postgres } from './postgres.ts'

const benchmarks: readonly Benchmark[] = [
  rotation,
  rotationFormat,
  script,
  memory,
  memoryDocuments,
  documents,
  looking,
  field,
  rewrap,
  latency,
  adapters,
  sessions,
  signing,
  serving,
]

const usage = `npm run bench -- [options]

  --only NAME   this benchmark only; may be repeated
  --rows N      rows (calls for "field") instead of its own number
  --json        the result as JSON on standard output
  --assert      exit code 1 when a limit is missed
  --help        this text

${benchmarks.map(({ name, about, rows }) => `  ${name.padEnd(16)} ${about} (${rows.toLocaleString('en-US')})`).join('\n')}

KEYTURN_BENCH_POSTGRES=url measures on that server, with its own settings, instead of the one from npm.
`

function refuse(sentence: string): never {
  console.error(`bench: ${sentence}`)
  process.exit(2)
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true },
        rows: { type: 'string' },
        json: { type: 'boolean', default: false },
        assert: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    return values
  } catch (error) {
    return refuse(`${error instanceof Error ? error.message : error}\n\n${usage}`)
  }
}

/** With few rows nothing is measured: then it is only seen that everything runs. */
const roundsFor = (rows: number) => (rows < 10_000 ? 1 : 3)

interface Measured extends Outcome {
  readonly name: string
  readonly about: string
  readonly rows: number
  readonly seconds: number
}

async function measure(chosen: readonly Benchmark[], rows: number | null, postgres: Bench['postgres']): Promise<Measured[]> {
  const found: Measured[] = []
  for (const { name, about, rows: own, run } of chosen) {
    const before = performance.now()
    const say = (line: string) => console.error(`${name}: ${line}`)
    const outcome = await run({ rows: rows ?? own, rounds: roundsFor(rows ?? own), postgres, say })
    found.push({ name, about, rows: rows ?? own, seconds: Math.round((performance.now() - before) / 1000), ...outcome })
  }
  return found
}

function verdict(ratio: Ratio): string {
  const { limit } = ratio
  if (limit === undefined) return ''
  const bound = 'atMost' in limit ? `at most ${limit.atMost}` : `at least ${limit.atLeast}`
  return `  ${bound}: ${passes(ratio) ? 'kept' : 'MISSED'}`
}

function print({ name, about, rows, seconds, ratios, measured }: Measured): void {
  console.log(`\n${name}: ${about}\n  ${rows.toLocaleString('en-US')} rows, ${seconds} s`)
  for (const ratio of ratios) console.log(`  ${ratio.value.toFixed(2).padStart(8)}  ${ratio.name}${verdict(ratio)}`)
  const numbers = Object.entries(measured).map(
    ([what, value]) => `${what} ${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))}`,
  )
  console.log(`  ${numbers.join('  ')}`)
}

const options = readOptions()
if (options.help) {
  console.log(usage)
  process.exit(0)
}
const names = options.only ?? benchmarks.map(({ name }) => name)
const unknown = names.find((name) => !benchmarks.some((benchmark) => benchmark.name === name))
if (unknown !== undefined) refuse(`there is no benchmark "${unknown}". There are ${benchmarks.map(({ name }) => name).join(', ')}`)
const rows = options.rows === undefined ? null : Number(options.rows)
if (rows !== null && !(Number.isInteger(rows) && rows >= 100)) refuse('--rows needs a whole number from 100 on')

let postgres: Promise<Postgres> | null = null
const startOnce = () => {
  postgres ??= openPostgres()
  return postgres
}
let found: Measured[] = []
let server: Pick<Postgres, 'version' | 'settings'> | null = null
try {
  found = await measure(
    benchmarks.filter(({ name }) => names.includes(name)),
    rows,
    startOnce,
  )
} finally {
  const started = await (postgres as Promise<Postgres> | null)
  server = started && { version: started.version, settings: started.settings }
  await started?.stop()
}
const machine = { node: process.version, cpus: cpus().length, cpu: cpus()[0]?.model ?? '', postgres: server }
if (options.json) {
  const results = found.map(({ ratios, ...rest }) => ({ ...rest, ratios: ratios.map((ratio) => ({ ...ratio, passes: passes(ratio) })) }))
  console.log(JSON.stringify({ ...machine, benchmarks: results }))
} else {
  console.log(`Node ${machine.node.slice(1)}, ${machine.cpus} cores (${machine.cpu})`)
  if (server !== null)
    console.log(
      `PostgreSQL ${server.version}: ${Object.entries(server.settings)
        .map((pair) => pair.join('='))
        .join(' ')}`,
    )
  for (const each of found) print(each)
}
if (options.assert && found.some(({ ratios }) => ratios.some((ratio) => passes(ratio) === false))) process.exitCode = 1
